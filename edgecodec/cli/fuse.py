"""`edgecodec fuse`: decoders of a bundle as graphs that take whole files. Options: edgecodec_export/options.py."""

from __future__ import annotations

from dataclasses import asdict, replace

from edgecodec.cli.knob_options import GraphKnobs, lists
from edgecodec.cli.option_groups import with_groups
from edgecodec.cli.reporting import reporting
from edgecodec.cli.shared_options import TalkOptions
from edgecodec.errors import EngineUnavailable
from edgecodec_export.options import FuseOptions


@with_groups
def fuse(options: FuseOptions, knobs: GraphKnobs, talk: TalkOptions) -> None:
    """Write decoders as ONNX graphs from bytes to pixels. Needs edgecodec[export]."""
    with reporting(talk) as console:
        try:
            from edgecodec_export.fused.writing import fuse_bundle
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"fuse needs {error.name}, which is not installed", hint="pip install 'edgecodec[export]'"
            ) from error
        with console.progress("fusing", step_level=1) as progress:
            graphs = fuse_bundle(replace(options, knobs=lists(knobs)), progress.follow)
        for graph in graphs:
            output = options.folder() / graph.file
            console.say(f"{output}  {graph.size / 1e6:.1f} MB")
            console.record({"ok": True, "output": output, **asdict(graph)})
