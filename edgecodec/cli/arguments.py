"""Mistakes in a command line that are found before its command begins, in more words than typer has for them."""

from __future__ import annotations

from typing import Any

from typer import BadParameter
from typer.core import TyperCommand

from edgecodec.cli.knob_options import DECODER_SHORTHANDS, ENCODER_SHORTHANDS


class Command(TyperCommand):
    """A command that says where a knob belongs which it does not have, and refuses options without a value.

    What stands for a context differs between versions of typer, some of which bring a click of their own.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)  # parsing takes them off the list
        try:
            rest = super().parse_args(ctx, args)
        except Exception as error:
            self._say_whose_knob(error)
            raise
        if not ctx.resilient_parsing:
            self._refuse_empty(ctx, given)
        return rest

    def _refuse_empty(self, ctx: Any, args: list[str]) -> None:
        """Raise BadParameter where a value has no characters: as a path it would be the folder at hand."""
        values, _, _ = self.make_parser(ctx).parse_args(args=args)
        for parameter in self.params:
            value = values.get(parameter.name or "")
            if value == "" or (isinstance(value, list) and "" in value and parameter.param_type_name == "option"):
                raise BadParameter("it is empty. Is a variable of the shell not set?", ctx, parameter)

    def _say_whose_knob(self, error: Any) -> None:
        """Add to the error for an option that is not there (click's NoSuchOption), if it is the shorthand of a knob."""
        option = getattr(error, "option_name", "")
        knob = option.removeprefix("--")
        if knob not in (*ENCODER_SHORTHANDS, *DECODER_SHORTHANDS) or not hasattr(error, "possibilities"):
            return
        if self.name == "encode":
            hint = "It is a knob of decoding: give it to decode."
        elif self.name in ("decode", "compare"):
            hint = "It is a knob of encoding, and a file carries what decoding has to know of it."
        elif any(parameter.name == "knob" for parameter in self.params):
            hint = f"--knob {knob}=VALUE names any knob."
        else:
            return
        error.message = f"{error.message}. {hint}"
        error.possibilities = [each for each in error.possibilities or () if each.startswith(option)]
