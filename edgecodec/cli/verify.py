"""`edgecodec verify`: whether a bundle does on this machine what it did where it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import EngineOptions, TalkOptions
from edgecodec.errors import VerificationFailed


@with_groups
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that export wrote.")],
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="P", help="Compare pixels of decoders in this precision alone. [default: all; on ARM CPUs fp32]"
        ),
    ] = None,
    *,
    engine: EngineOptions,
    talk: TalkOptions,
) -> None:
    """Check a bundle on this machine. All hashes, golden latents exactly, golden pixels within tolerance."""
    with reporting(talk) as console:
        from edgecodec.verify import verify as checks_of

        failed = hashes = 0
        # What is checked is told once it has been.
        with console.progress("verifying", step_level=2) as progress:
            checks = checks_of(
                bundle,
                engine.checked_name(),
                engine.threads,
                engine_library=engine.engine_library,
                engine_device=engine.engine_device,
                precision=precision,
                progress=progress.follow,
            )
            for check in checks:
                failed += not check.passed
                folded = check.is_hash and check.passed  # a bundle may have hundreds of files
                hashes += folded
                passed = "ok    " if check.passed else "FAILED"
                console.say(f"{passed} {check.subject}: {check.detail}", level=int(folded))
                console.record({"subject": check.subject, "ok": check.passed, "detail": check.detail})
        console.say(f"ok     size and SHA-256 of {hashes} files")
        if failed:
            raise VerificationFailed(
                f"{failed} checks failed",
                where=str(bundle),
                hint="fetch or export the bundle again, or use another engine",
            )
