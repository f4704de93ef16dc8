"""Options that belong together, declared once: a parameter of a command that is a dataclass stands for its fields."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, get_type_hints

from typer.models import ParameterInfo


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with each parameter that is a dataclass replaced by one parameter for every option of it.

    The options of a dataclass are the fields that are annotated as typer wants it; other fields keep their defaults.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, list[inspect.Parameter]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if isinstance(parameter.annotation, type) and dataclasses.is_dataclass(parameter.annotation):
            groups[parameter.name] = list(_options(parameter.annotation))
            parameters += groups[parameter.name]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**values: Any) -> None:
        for name, options in groups.items():
            group = signature.parameters[name].annotation
            values[name] = group(**{option.name: values.pop(option.name) for option in options})
        command(**values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}  # the signature has them all, and typer would look for the group's
    return run


def _options(group: type) -> Iterator[inspect.Parameter]:
    annotations = get_type_hints(group, include_extras=True)
    for field in dataclasses.fields(group):
        annotation = annotations[field.name]
        if any(isinstance(each, ParameterInfo) for each in getattr(annotation, "__metadata__", ())):
            required = field.default is dataclasses.MISSING
            default = inspect.Parameter.empty if required else field.default
            yield inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
