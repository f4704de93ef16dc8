"""`edgecodec triton`: decoders of a bundle as models of a Triton server. Options: edgecodec_export/options.py."""

from __future__ import annotations

from dataclasses import asdict, replace

from edgecodec.cli.knob_options import GraphKnobs, lists
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import TalkOptions
from edgecodec.errors import EngineUnavailable
from edgecodec_export.options import TritonOptions


@with_groups
def triton(options: TritonOptions, knobs: GraphKnobs, talk: TalkOptions) -> None:
    """Write decoders as models of Triton Inference Server. Needs edgecodec[export]."""
    with reporting(talk) as console:
        try:
            from edgecodec_export.triton.repository import write_repository
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"triton needs {error.name}, which is not installed", hint="pip install 'edgecodec[export]'"
            ) from error
        with console.progress("writing", step_level=1) as progress:
            models = write_repository(replace(options, knobs=lists(knobs)), progress.follow)
        for model in models:
            console.say(f"{options.output / model.name}  {model.size / 1e6:.1f} MB")
            console.record({"ok": True, "output": options.output / model.name, **asdict(model)})
