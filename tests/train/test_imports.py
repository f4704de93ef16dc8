"""Any module can be the first that a program imports: no two need each other."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORT_EACH_FIRST = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for finder, name, _ in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    # The native library, which an installed package has beside its modules, is none.
    if name.endswith(".__main__") or not finder.find_spec(name).origin.endswith(".py"):
        continue
    for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0].startswith("edgecodec")]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except ImportError as problem:
        sys.exit(f"{name}: {problem}")
"""
PACKAGES = ("edgecodec", "edgecodec_engines", "edgecodec_export", "edgecodec_evaluate", "edgecodec_train")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_can_be_imported_first(package: str) -> None:
    """Packages that a module has loaded stay, so that this takes seconds."""
    finished = subprocess.run([sys.executable, "-c", IMPORT_EACH_FIRST, package], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
