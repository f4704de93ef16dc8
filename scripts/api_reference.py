"""Writes docs/api.md, the reference of the public Python names, from their signatures and docstrings.

    python scripts/api_reference.py [--check]

The sources are read and not imported, so that the page is the same on every version of Python. With --check nothing is
written, and the status is 1 where the page is out of date.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"

#: A heading, what to say under it, and the names that it documents.
SECTIONS = (
    (
        "Coding pictures",
        "What `import edgecodec` gives; each name is loaded when it is first used.",
        (
            "edgecodec.open_bundle",
            "edgecodec.Codec",
            "edgecodec.inspect",
            "edgecodec.register_opener",
            "edgecodec.custom_ops_library",
        ),
    ),
    (
        "Results and limits",
        "",
        (
            "edgecodec.decoded.Decoded",
            "edgecodec.encoding.Encoded",
            "edgecodec.container.FileInfo",
            "edgecodec.timings.Timings",
            "edgecodec.limits.Limits",
        ),
    ),
    (
        "Errors",
        "",
        ("edgecodec.errors", "edgecodec.errors.EdgecodecError"),
    ),
    (
        "Backends",
        "What a package with an inference backend of its own implements.",
        (
            "edgecodec.engine.Backend",
            "edgecodec.engine.Variant",
            "edgecodec.engine.Engine",
            "edgecodec.engine.Graph",
            "edgecodec.engine.Port",
            "edgecodec.engine.Options",
            "edgecodec.engine.RunningEngine",
            "edgecodec.engine.Copies",
        ),
    ),
    (
        "Export",
        "`edgecodec_export` needs the extra `export`.",
        (
            "edgecodec_export.ExportOptions",
            "edgecodec_export.export_bundle",
            "edgecodec_export.ExportReport",
            "edgecodec_export.ReportedModel",
            "edgecodec_export.FuseOptions",
            "edgecodec_export.fuse_bundle",
            "edgecodec_export.FusedGraph",
            "edgecodec_export.TritonOptions",
            "edgecodec_export.write_repository",
            "edgecodec_export.TritonModel",
        ),
    ),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Writes docs/api.md from the docstrings.")
    arguments.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    page = reference()
    if not arguments.parse_args().check:
        PAGE.write_text(page, encoding="utf-8", newline="\n")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        sys.exit(f"{PAGE.relative_to(ROOT)} is out of date: run python scripts/api_reference.py")


def reference() -> str:
    """The whole page."""
    loader = griffe.GriffeLoader(
        search_paths=[ROOT, *(ROOT / name for name in ("engines", "export", "train", "evaluate"))]
    )
    for package in ("edgecodec", "edgecodec_engines", "edgecodec_export"):
        loader.load(package, try_relative_path=False)
    loader.resolve_aliases()
    lines = ["# Python reference", "", "Made from the docstrings by `python scripts/api_reference.py`.", ""]
    for heading, introduction, names in SECTIONS:
        lines += [f"## {heading}", ""]
        if introduction:
            lines += [introduction, ""]
        for name in names:
            found = loader.modules_collection[name]
            lines += _entry(name, found.final_target if found.is_alias else found)
    return "\n".join(lines).rstrip() + "\n"


def _entry(name: str, entry: griffe.Object) -> Iterator[str]:
    """The lines of a class, with its public methods, or of a function."""
    yield f"### `{name}`"
    yield ""
    if isinstance(entry, griffe.Function):
        yield from _function(entry, entry.name)
        return
    if isinstance(entry, griffe.Module):
        yield from ("```", entry.docstring.value if entry.docstring else "", "```", "")
        return
    yield from _documentation(entry)
    if "dataclass" in entry.labels:
        fields = [
            each
            for each in entry.members.values()
            if isinstance(each, griffe.Attribute) and each.annotation and not each.name.startswith("_")
        ]
        yield from ("```python", *map(_field, (each for each in fields if "property" not in each.labels)), "```", "")
    for member in entry.members.values():
        public = not member.name.startswith("_") and not member.is_alias
        if public and isinstance(member, griffe.Function) and member.docstring:
            yield from _function(member, f"{entry.name}.{member.name}")
        elif public and isinstance(member, griffe.Attribute) and "property" in member.labels:
            yield f"`{entry.name}.{member.name}: {member.annotation}`"
            yield ""
            yield from _documentation(member)


def _function(function: griffe.Function, name: str) -> Iterator[str]:
    yield "```python"
    yield _signature(function, name)
    yield "```"
    yield ""
    yield from _documentation(function)


def _signature(function: griffe.Function, name: str) -> str:
    """As it would be written in a stub, a parameter a line where it is long."""
    parameters = []
    keyword_only = False
    for each in function.parameters:
        if each.name in ("self", "cls"):
            continue
        if each.kind is griffe.ParameterKind.keyword_only and not keyword_only:
            keyword_only = True
            parameters.append("*")
        star = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(each.kind, "")
        keyword_only = keyword_only or star == "*"
        text = f"{star}{each.name}"
        if each.annotation is not None:
            text += f": {each.annotation}"
        if each.default is not None and not star:
            text += f" = {each.default}" if each.annotation is not None else f"={each.default}"
        parameters.append(text)
    result = f" -> {function.returns}" if function.returns is not None else ""
    line = f"{name}({', '.join(parameters)}){result}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){result}"


def _field(field: griffe.Attribute) -> str:
    value = str(field.value).replace("'", '"')  # as ruff formats the page
    default = f" = {value}" if field.value is not None and "field(" not in value else ""
    annotation = str(field.annotation)
    if annotation.startswith("Annotated["):  # the rest is for the command line
        annotation = annotation.removeprefix("Annotated[").partition(", ")[0]
    return f"{field.name}: {annotation}{default}"


def _documentation(entry: griffe.Object) -> Iterator[str]:
    if entry.docstring:
        yield entry.docstring.value
        yield ""


if __name__ == "__main__":
    main()
