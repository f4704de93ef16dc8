"""The command line. Each command is a file; what commands share lies beside them."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

import edgecodec
from edgecodec.cli.arguments import Command
from edgecodec.cli.bench import bench
from edgecodec.cli.build import build
from edgecodec.cli.compare import compare
from edgecodec.cli.console import Console, abandon, occupy_standard_descriptors
from edgecodec.cli.decode import decode
from edgecodec.cli.doctor import doctor
from edgecodec.cli.encode import encode
from edgecodec.cli.eval import evaluate
from edgecodec.cli.export import export
from edgecodec.cli.fuse import fuse
from edgecodec.cli.inspect import inspect
from edgecodec.cli.signals import leaving_threads_behind, unwinding_on
from edgecodec.cli.train import train
from edgecodec.cli.triton import triton
from edgecodec.cli.verify import verify
from edgecodec.errors import typed

app = typer.Typer(
    name="edgecodec",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain text, with or without a terminal
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (export, fuse, triton, build, encode, decode, inspect, verify, bench, evaluate, compare, doctor, train):
    app.command("eval" if command is evaluate else None, cls=Command)(command)  # eval is a name of Python's


def main() -> None:
    """Entry point of the console script."""
    # Pillow warns about odd pictures in a programmer's words; what matters to a user is in the notes.
    warnings.simplefilter("ignore")
    occupy_standard_descriptors()
    with leaving_threads_behind(), unwinding_on("SIGINT", "SIGTERM", "SIGHUP"):
        try:
            app()
        except OSError as error:  # from showing help; what commands do is reported in them
            failure = typed(error)
            Console().error(failure)
            abandon(sys.stdout)
            sys.exit(failure.exit_status)


def _print_version(asked: bool) -> None:
    if asked:
        from edgecodec import engine_registry, native
        from edgecodec.container import FORMAT_VERSION

        interface = native.version().partition(".")[0]
        engines = ", ".join(engine_registry.usable_engines()) or "none"
        print(
            f"edgecodec {edgecodec.__version__} (format {FORMAT_VERSION}, C interface {interface}, "
            f"{native.kernels()} kernels; engines: {engines})"
        )
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run trained image codecs on edge devices: export a checkpoint once, then encode and decode without PyTorch."""
