"""Compiles and runs C and C++ programs against the library under test, as a user of an installed library would."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecodec import native
from support.elf_file import read_elf

#: Without the sanitizer's runtime library, which may be loaded into the tests' own process: a compiler needs none, and
#: programs have it themselves.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
_SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compiler(language: str) -> str:
    """A compiler for "c" or "c++"; the test is skipped where there is none."""
    names = {"c": ("cc", "gcc", "clang"), "c++": ("c++", "g++", "clang++")}[language]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no {language} compiler")
    return found


def needed_tool(name: str) -> str:
    """The path of a program; the test is skipped where there is none."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}")
    return found


def run(*command: object, **environment: str) -> None:
    """Runs a command that must succeed; otherwise its output is the message."""
    done = subprocess.run(
        [str(word) for word in command], env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def library_under_test() -> Path:
    return Path(native.library()._name).resolve()


def flags_like_the_library() -> list[str]:
    """The sanitizers, where the library has them: it cannot be loaded into a program without."""
    return _SANITIZERS if "libasan" in " ".join(read_elf(library_under_test()).needed) else []


@dataclass(frozen=True)
class Installation:
    """What `cmake --install` wrote, with the tool and the header."""

    prefix: Path

    @property
    def tool(self) -> Path:
        return self.prefix / "bin" / "edgecodec-decode"

    @property
    def pkg_config(self) -> Path:
        """The folder that PKG_CONFIG_PATH takes."""
        (found,) = self.prefix.rglob("edgecodec.pc")
        return found.parent

    def flags(self) -> list[str]:
        """What pkg-config says to compile and link with."""
        command = [needed_tool("pkg-config"), "--cflags", "--libs", "edgecodec"]
        environment = {**ENVIRONMENT, "PKG_CONFIG_PATH": str(self.pkg_config)}
        flags = subprocess.check_output(command, env=environment, text=True).split()
        return [*flags, f"-Wl,-rpath,{self.pkg_config.parent}"]


def install_library(prefix: Path) -> Installation:
    """Installs the library under test from the folder that it was built in; skipped where it is in no such folder."""
    folder = library_under_test().parent
    if not (folder / "CMakeCache.txt").exists():
        pytest.skip("the library under test is not in the folder that it was built in")
    run(needed_tool("cmake"), "--install", folder, "--prefix", prefix)
    return Installation(prefix)


def onnxruntime_library() -> Path:
    """ONNX Runtime's shared library, out of its Python package; skipped where that has none (before 1.20)."""
    package = Path(pytest.importorskip("onnxruntime").__file__).parent
    found = sorted((package / "capi").glob("libonnxruntime.so*"))
    if not found:
        pytest.skip("this ONNX Runtime has no shared library")
    return found[0]
