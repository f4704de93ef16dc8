"""The process that builds one plan. A crash, a hang or a kill of TensorRT's builder ends this process alone.

`building` starts it with a folder and the number of a pipe. The folder holds the graph, its weights, and the request as
JSON; the plan appears there too, and what TensorRT measured. On the pipe go lines of JSON: {"phase", "share"} while it
builds, {"warning"} for whatever TensorRT complains of, and last {"facts"} or {"error"}.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import sys
import threading
from pathlib import Path
from typing import IO, Any

MODEL, GRAPH = "model", "model/graph.onnx"
REQUEST, PLAN, TIMINGS = "request.json", "plan", "timings"
ANY = -1  # of a side that is not fixed
#: What the parser says of every input of that type, in the manner of a warning; engines feed it as int64.
_NOTICE = "has Int64 binding."
_UNIT = 1024  # bytes, in which Linux tells how much memory a process took


def main(folder: str, pipe: str) -> None:
    """Build what the request in `folder` asks for, and tell the parent on the descriptor `pipe`."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    with open(int(pipe), "w", encoding="utf-8", buffering=1) as stream:
        teller = _Teller(stream)
        try:
            teller.tell(facts=_build(Path(folder), teller))
            status = 0
        except Exception as error:
            teller.tell(error=teller.complaint() or str(error) or type(error).__name__)
            status = 1
    # All is done and told. TensorRT has more to do at the end of a process, which may crash or hang.
    os._exit(status)


def _end_with_the_parent() -> None:
    """The parent holds the other end of standard input, also where it is killed."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


class _Teller(logging.Handler):
    """Lines for the parent. As a handler of logs it tells warnings, and remembers errors for `complaint`."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(logging.WARNING)
        self._stream = stream
        self._writing = threading.Lock()
        self._errors: list[str] = []

    def tell(self, **line: Any) -> None:
        """May be called by threads of the builder."""
        with self._writing:
            self._stream.write(json.dumps(line) + "\n")

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if record.levelno >= logging.ERROR:
            self._errors.append(text)
        elif not text.endswith(_NOTICE):
            self.tell(warning=text)

    def complaint(self) -> str:
        """The first error that TensorRT logged: those after it are mostly about the first."""
        return self._errors[0] if self._errors else ""


def _build(folder: Path, teller: _Teller) -> dict[str, Any]:
    """Polygraphy knows what builders of the various versions of TensorRT want to be told, and how."""
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    from polygraphy.backend import tensorrt_rtx, trt
    from polygraphy.logger import G_LOGGER

    G_LOGGER.use_python_logging_system = True
    G_LOGGER.letter = False
    log = logging.getLogger("Polygraphy")
    log.propagate = False
    log.addHandler(teller)

    builder, network, parser = trt.network_from_onnx_path(str(folder / GRAPH), strongly_typed=True)
    inputs = {each.name: tuple(each.shape) for each in map(network.get_input, range(network.num_inputs))}
    _check_inputs(inputs, request["profile"])
    profile = trt.Profile()
    for name, shapes in request["profile"].items():
        if ANY in inputs[name]:
            profile.add(name, *(tuple(shapes[end]) for end in ("smallest", "typical", "largest")))
    module = sys.modules[request["tensorrt"]]
    timings = folder / TIMINGS
    settings: dict[str, Any] = {
        "profiles": [profile],
        "progress_monitor": _progress_monitor(module, teller),
        "load_timing_cache": str(timings) if timings.exists() else None,
    }
    if request["workspace"] is not None:
        settings["memory_pool_limits"] = {module.MemoryPoolType.WORKSPACE: request["workspace"]}
    if request["portable"] is None:
        create_config = trt.CreateConfig(**settings)
    else:
        create_config = tensorrt_rtx.CreateConfigRTX(use_gpu=not request["portable"], **settings)
    # TensorRT-RTX measures nothing while it builds.
    measured = str(timings) if request["portable"] is None else None
    build = trt.EngineBytesFromNetwork((builder, network, parser), create_config, save_timing_cache=measured)
    with open(folder / PLAN, "wb") as plan:
        plan.write(build())
    return {"layers": network.num_layers, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT}


def _check_inputs(inputs: dict[str, tuple[int, ...]], profile: dict[str, Any]) -> None:
    """TensorRT forgives much that would be found out only when the plan runs."""
    if inputs.keys() != profile.keys():
        raise ValueError(f"the index promises inputs {sorted(profile)}, the graph has {sorted(inputs)}")
    for name, shape in inputs.items():
        promised = tuple(profile[name]["typical"])
        alike = len(shape) == len(promised) and all(
            side in (ANY, wanted) for side, wanted in zip(shape, promised, strict=True)
        )
        # A knob is one number, of whatever rank the graph declares.
        if not alike and not (promised == () and ANY not in shape and math.prod(shape) == 1):
            raise ValueError(
                f"the index promises input {name!r} of shape {list(promised)}, the graph has {list(shape)}"
            )


def _progress_monitor(module: Any, teller: _Teller) -> Any:
    """None where TensorRT has no such thing."""
    if not hasattr(module, "IProgressMonitor"):
        return None

    class ProgressMonitor(module.IProgressMonitor):  # type: ignore[misc]  # a class of whatever module there is
        """Tells of the outermost phases, of which there are few."""

        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = num_steps
                teller.tell(phase=phase_name, share=0.0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._steps:
                teller.tell(phase=phase_name, share=(step + 1) / max(self._steps[phase_name], 1))
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return ProgressMonitor()
