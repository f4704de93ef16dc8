"""The pages keep to the line length, and what they refer to exists: links, headings, and paths of the repository."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from support.paths import ROOT

COLUMNS = 120
#: A source distribution has no checkpoints and no examples.
IN_REPOSITORY = (ROOT / "examples").is_dir()
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "checkpoints").glob("*.md"))
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

#: A path starts at the root of the repository; one that names a source file may also start in one of HOMES.
FOLDERS = {"bench", "checkpoints", "docs", "edgecodec", "engines", "examples", "export", "fuzz", "native", "scripts"}
FOLDERS |= {"tests", "train", "evaluate"}
HOMES = [
    "edgecodec",
    "engines/edgecodec_engines",
    "export/edgecodec_export",
    "train/edgecodec_train",
    "evaluate/edgecodec_evaluate",
    "native/src",
]
SOURCES = {".py", ".cpp", ".h", ".md", ".toml"}


@each_page
def test_prose_keeps_to_the_line_length(page: Path) -> None:
    prose = _parts(page.read_text(encoding="utf-8"))[0]
    assert [line for line in prose if len(line) > COLUMNS and not line.startswith("|")] == []


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    prose = _parts(page.read_text(encoding="utf-8"))[0]
    assert [target for target in _links("\n".join(prose)) if not _leads_somewhere(page, target)] == []


@pytest.mark.skipif(not IN_REPOSITORY, reason="a source distribution has no checkpoints and examples")
@each_page
def test_paths_exist(page: Path) -> None:
    assert [path for path in _paths(page.read_text(encoding="utf-8")) if not _exists(path)] == []


def test_code_is_told_from_prose() -> None:
    page = "# A\n    code\n\n* item\n    prose\n\n      code\n\n```\ncode\n```\nprose `a b`\n    prose\n"
    prose, code = _parts(page)
    assert [line.strip() for line in code] == ["code"] * 3
    assert [line.strip() for line in prose if line] == ["# A", "* item", "prose", "prose `a b`", "prose"]


def test_paths_are_recognised() -> None:
    page = "`bench/coder.py --rounds 3` `docs/` `golden/` `a/b` `families/no.py`\n\n    fuzz/run native/step_NAME.cpp\n"
    assert list(_paths(page)) == ["bench/coder.py", "docs/", "families/no.py", "fuzz/run", "native/step_*.cpp"]


def test_what_is_missing_is_noticed() -> None:
    assert _exists("scripts/test") and _exists("families/codec.py") and _exists("fuzz/*_fuzzer.cpp")
    assert not _exists("scripts/none") and not _exists("families/none.py") and not _exists("fuzz/*.none")
    page = ROOT / "docs" / "commands.md"
    assert _leads_somewhere(page, "../README.md") and _leads_somewhere(page, "#tiles-and-memory")
    assert not _leads_somewhere(page, "README.md") and not _leads_somewhere(page, "#no-such-heading")


def _parts(text: str) -> tuple[list[str], list[str]]:
    """The lines of prose, tables and headings among them, and the lines of code blocks, fenced or indented."""
    prose: list[str] = []
    code: list[str] = []
    fenced = False
    may_start_code = True  # an indented line within a paragraph goes on with it
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or (may_start_code and line.startswith("    ")):
            code.append(line)
        else:
            prose.append(line)
            may_start_code = not line.strip() or line.startswith("#")
    return prose, code


def _links(prose: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if "://" not in target:
            yield target


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, heading = target.partition("#")
    other = page.parent / name if name else page
    if not IN_REPOSITORY and {ROOT / "examples", ROOT / "checkpoints"} & {*Path(os.path.abspath(other)).parents}:
        return True
    return other.exists() and (not heading or heading in _anchors(other.read_text(encoding="utf-8")))


def _anchors(text: str) -> set[str]:
    """What links call the headings of a page: lower case, without punctuation, words joined by hyphens."""
    headings = [line.lstrip("# ") for line in _parts(text)[0] if line.startswith("#")]
    return {re.sub(r"[^\w\s-]", "", heading).lower().replace(" ", "-") for heading in headings}


def _paths(text: str) -> Iterator[str]:
    """The words of inline code and code blocks that are paths of the repository, as patterns.

    * stands for any name, and so do capitals before a suffix, as in step_NAME.cpp, but for README.md and its like.
    """
    prose, code = _parts(text)
    spans = [*re.findall(r"`([^`]+)`", "\n".join(prose)), *code]
    for word in " ".join(spans).split():
        path = PurePosixPath(word)
        if not re.fullmatch(r"[\w*][\w*.-]*(/[\w*.-]+)*/?", word) or "/" not in word:
            continue
        if path.parts[0] in FOLDERS or path.suffix in SOURCES:
            yield word if path.suffix == ".md" else re.sub(r"[A-Z]{4,}(?=\.)", "*", word)


def _exists(path: str) -> bool:
    return any(any((ROOT / home).glob(path)) for home in ["", *HOMES])
