"""Whatever a bundle can decode can be judged: evaluation uses the runtime alone, as any program would."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import edgecodec_evaluate

FOLDER = Path(edgecodec_evaluate.__file__).parent


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, path
            yield node.module


def test_neither_export_nor_training_nor_engines_are_imported() -> None:
    packages = {name.partition(".")[0] for path in FOLDER.rglob("*.py") for name in _imported(path)}
    own = {name for name in packages if name.startswith("edgecodec")}
    assert own == {"edgecodec", "edgecodec_evaluate"}
    assert "scipy" not in packages  # it is no part of the extra
