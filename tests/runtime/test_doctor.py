"""Every machine can be examined, and no probe that fails, hangs or finds nothing ends the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edgecodec import engine_registry
from edgecodec.cache_folder import cache_folder
from edgecodec.cli.doctor import _engine as line_of
from edgecodec.doctor import cache, engines, examine, nvidia, report
from edgecodec.doctor.advice import advice
from edgecodec.doctor.cache import Cache
from edgecodec.doctor.engines import EngineState, states_of
from edgecodec.doctor.jetson import Clock, Jetson, jetson
from edgecodec.doctor.memory import Memory, memory
from edgecodec.doctor.nvidia import Gpu, Nvidia
from edgecodec.doctor.processor import Processor, processor
from edgecodec.doctor.software import NativeLibrary, Software, software
from edgecodec.errors import EngineUnavailable, InternalError
from support.command_line import run_command
from support.paths import ENVIRONMENT

#: What the kernel and the system say on a Jetson Orin Nano with Jetson Linux 36.4.3, its clocks following the load.
JETSON = {
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nBogoMIPS\t: 62.50\nFeatures\t: fp "
    "asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp uscat ilrcpc\n",
    "proc/meminfo": "MemTotal:        7802056 kB\nMemFree:          200000 kB\nMemAvailable:    5410444 kB\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, "
    "DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  "
    "(buildbrain@mobile-u64)  Tue Jan  7 17:37:09 PST 2025\nGCC version:  gcc version 11.4.0\n",
    "var/lib/nvpmodel/status": "pmode:0001 fmode:quiet",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=7W >\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "729600\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq": "729600\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq": "1510400\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "schedutil\n",
    "sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/min_freq": "624750000\n",
    "sys/class/devfreq/17000000.gpu/max_freq": "624750000\n",
    "sys/class/devfreq/17000000.gpu/governor": "nvhost_podgov\n",
    "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
}
#: A desktop with a GeForce.
DESKTOP = {
    "proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Core(TM) i9-12900K\nflags\t\t: "
    "fpu vme avx avx2 avx_vnni\n\nprocessor\t: 1\nmodel name\t: another\n",
    "proc/meminfo": "MemTotal:       65820356 kB\nMemAvailable:   51234567 kB\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Mar  3 2026\n",
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 200\n",
    "sys/class/devfreq/another/cur_freq": "1\n",
}
#: A container with control groups of version 2, whose own group is not visible under its name on the host.
CONTAINER = {
    **DESKTOP,
    "proc/self/cgroup": "0::/system.slice/docker-4f.scope\n",
    "sys/fs/cgroup/memory.max": "2147483648\n",
}
GROUPS_1 = {
    "proc/meminfo": "MemTotal:       65820356 kB\n",
    "proc/self/cgroup": "11:cpu,cpuacct:/a\n4:memory:/jobs/7\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": "4294967296\n",
    "sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes": "8589934592\n",
    "sys/fs/cgroup/memory/other/memory.limit_in_bytes": "1\n",
}
SOFTWARE = Software(
    "0.1.0", 1, 2, NativeLibrary("/lib.so", "0.1.0", "avx2", ("scalar", "avx2"), None), "3.11.7", "Linux", {}
)
CPU = EngineState("onnxruntime", True, "1.31.1", "cpu", None, None, 1.0)
PLANS = EngineState("tensorrt", True, None, "cuda", None, None, 1.0, "a plan: edgecodec build BUNDLE")
NO_GPU = Nvidia(False, None, None, (), "libcuda.so.1 cannot be loaded", {})
WITH_GPU = Nvidia(True, "580.1", "13.0", (Gpu("NVIDIA H200", "9.0", 1 << 37),), None, {})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def recorded(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


# ---- what the kernel and the system say ---------------------------------------------------------------------------


def test_a_jetson(root: Path) -> None:
    recorded(root, JETSON)
    found = jetson(root)
    assert found == Jetson(
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit",
        "36.4.3",
        "1 (7W)",
        (
            Clock("cpu policy0", 729_600_000, 729_600_000, 1_510_400_000, "schedutil"),
            Clock("gpu", 306_000_000, 624_750_000, 624_750_000, "nvhost_podgov"),
        ),
    )
    assert [clock.is_held for clock in found.clocks] == [False, True]
    found_processor = processor(root)
    assert found_processor.model == "ARMv8 Processor rev 1 (v8l)"
    assert found_processor.instructions == ("NEON", "NEON dot product", "NEON half precision")
    assert memory(root) == Memory(7802056 * 1024, 5410444 * 1024, None)
    assert nvidia._driver_version(root) == "540.4.0"


def test_a_desktop(root: Path) -> None:
    recorded(root, DESKTOP)
    assert jetson(root) is None
    assert processor(root).model == "Intel(R) Core(TM) i9-12900K"
    assert processor(root).instructions == ("AVX2", "AVX-VNNI")
    found = nvidia.nvidia(root, 60)
    assert (found.present, found.driver) == (True, "580.159.04")


def test_a_container_has_the_memory_of_its_group(root: Path) -> None:
    assert memory(recorded(root, CONTAINER)).limit == 2 << 30


def test_the_narrowest_group_around_the_process_counts(root: Path) -> None:
    assert memory(recorded(root, GROUPS_1)).limit == 4 << 30


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", "", "-1\n", "lots"])
def test_a_group_without_a_limit_limits_nothing(root: Path, text: str) -> None:
    assert memory(recorded(root, {**CONTAINER, "sys/fs/cgroup/memory.max": text})).limit is None


def test_a_device_without_a_driver_is_seen_on_the_bus(root: Path) -> None:
    device = {"sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n"}
    assert nvidia._is_on_the_bus(recorded(root / "a", device | {"sys/bus/pci/devices/0000:01:00.0/class": "0x030000"}))
    network_card = device | {"sys/bus/pci/devices/0000:01:00.0/class": "0x020000"}
    assert not nvidia._is_on_the_bus(recorded(root / "b", network_card))


def test_nothing_and_nonsense_are_no_error(root: Path) -> None:
    for place, text in (("empty", None), ("nonsense", "\xff: \0\n::\n=")):
        files = {} if text is None else dict.fromkeys([*JETSON, *CONTAINER], text)
        folder = recorded(root / place, files)
        assert memory(folder) == Memory(None, None, None)
        assert processor(folder).model
        found = jetson(folder)
        assert found is None or (found.release, found.power_mode) == (None, None)
        assert nvidia._driver_version(folder) is None


def test_a_named_pipe_among_the_files_is_not_waited_for(root: Path) -> None:
    recorded(root, {name: text for name, text in DESKTOP.items() if name != "proc/meminfo"})
    os.mkfifo(root / "proc" / "meminfo")
    assert memory(root).total is None


# ---- engines, driver and cache in processes of their own ------------------------------------------------------------


def test_an_engine_is_tried_and_not_only_found() -> None:
    works, unknown, stub = states_of(["onnxruntime", "tensorflow", "stub"], 60)
    assert works.usable and works.version and works.device == "cpu" and works.problem is None
    assert not unknown.usable and unknown.problem == "there is no engine 'tensorflow'" and unknown.hint
    assert not stub.usable and stub.problem == "computes something else than was asked"  # its results are mosaics


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt:rtx"])
def test_an_engine_that_lacks_only_a_plan_is_usable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("edgecodec_engines.tensorrt.TensorRTEngine.require", lambda variant: None)
    found = EngineState(name, **engines.try_engine(name), seconds=0.1)
    assert (found.usable, found.device, found.problem, found.hint) == (True, "cuda", None, None)
    assert line_of(found) == f"engine {name}: usable on cuda; needs a plan: edgecodec build BUNDLE"


def test_an_engine_that_needs_plans_and_does_not_load_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(variant: str) -> None:
        raise EngineUnavailable("no CUDA driver answers here", hint="install NVIDIA's driver")

    monkeypatch.setattr("edgecodec_engines.tensorrt.TensorRTEngine.require", missing)
    found = EngineState("tensorrt", **engines.try_engine("tensorrt"), seconds=0.1)
    assert not found.usable and found.needs is None
    assert "cannot be used: no CUDA driver answers here; install" in line_of(found)


def test_an_engine_that_hangs_is_given_up() -> None:
    (found,) = states_of(["onnxruntime"], 0.01)
    assert not found.usable and found.problem == "gave no answer in 0.01 s"
    assert found.seconds < 10


def test_all_engines_of_the_help_are_tried_but_no_engine_for_tests() -> None:
    names = engines._names()
    assert set(engine_registry.engine_names()) - {"auto"} <= set(names)
    assert "stub" not in names


def test_a_driver_that_is_not_there() -> None:
    found = nvidia.devices()
    assert found["gpus"] or found["problem"]


def test_the_cache_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.look() == {"path": str(tmp_path / "edgecodec"), "size": 0, "writable": True, "problem": None}
    recorded(tmp_path / "edgecodec", {"a": "12345", "plans/c": "678"})
    assert cache.look()["size"] == 8


def test_a_cache_in_the_place_of_a_file_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache.look()["writable"] is False


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/tmp/mine")
    assert cache_folder() == Path("/var/tmp/mine/edgecodec")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/edgecodec")


# ---- the whole report ----------------------------------------------------------------------------------------------


def test_a_probe_that_fails_leaves_the_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("of all things")

    monkeypatch.setattr(report, "nvidia", broken)
    monkeypatch.setattr(report, "engine_states", broken)
    found = examine(recorded(root, JETSON), 60)
    assert found.failed == {"nvidia": "RuntimeError: of all things", "engines": "RuntimeError: of all things"}
    assert found.nvidia is None and found.engines is None
    assert found.software is not None and found.jetson is not None and found.memory is not None
    assert any("jetson_clocks" in sentence for sentence in found.advice)


def test_a_missing_native_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise InternalError("is not there", where="libedgecodec.so", hint="reinstall edgecodec")

    monkeypatch.setattr("edgecodec.native.library", missing)
    found = software()
    assert found.library.problem == "libedgecodec.so: is not there (hint: reinstall edgecodec)"
    assert advised(software=found)[0].startswith("Nothing can be coded: libedgecodec.so")


def test_the_command_says_it_in_words_and_in_json() -> None:
    spoken = run_command("doctor", "-q")
    assert spoken.status == 0
    lines = spoken.output.decode().splitlines()
    assert {"edgecodec", "library", "system", "processor", "memory", "cache"} <= {line.split(":")[0] for line in lines}
    assert any(line.startswith("engine onnxruntime: works") for line in lines)
    told = run_command("doctor", "--json", "-q")
    (record,) = told.records
    assert told.status == 0 and json.dumps(record)
    assert record["software"]["library"]["kernels"] and record["engines"][0]["name"] == "onnxruntime"


def test_an_interrupt_does_not_wait_for_an_engine_that_hangs(tmp_path: Path) -> None:
    """And leaves no process behind."""
    hanging = "import os, time\nopen(os.environ['PID_FILE'], 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
    recorded(
        tmp_path,
        {
            "hanging.py": hanging,
            "hanging.dist-info/METADATA": "Metadata-Version: 2.1\nName: hanging\nVersion: 0\n",
            "hanging.dist-info/entry_points.txt": "[edgecodec.engines]\nhanging = hanging:BACKEND\n",
        },
    )
    pid_file = tmp_path / "pid"
    path = os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(tmp_path)])
    environment = {**ENVIRONMENT, "PYTHONPATH": path, "PID_FILE": str(pid_file)}
    with subprocess.Popen(
        [sys.executable, "-m", "edgecodec", "doctor", "-q"],
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell in the background has it ignored
    ) as command:
        try:
            deadline = time.monotonic() + 60
            while not (pid_file.exists() and pid_file.read_text()):
                assert time.monotonic() < deadline and command.poll() is None
                time.sleep(0.01)
            start = time.monotonic()
            command.send_signal(signal.SIGINT)
            assert command.wait(60) == 130
            assert time.monotonic() - start < 10
        finally:
            command.kill()
    while Path(f"/proc/{pid_file.read_text()}").exists():
        assert time.monotonic() - start < 20
        time.sleep(0.01)


# ---- advice ------------------------------------------------------------------------------------------------------


def advised(
    software: Software | None = SOFTWARE,
    memory: Memory | None = None,
    engines: tuple[EngineState, ...] | None = (CPU,),
    nvidia: Nvidia | None = NO_GPU,
    jetson: Jetson | None = None,
    cache: Cache | None = None,
) -> list[str]:
    machine = Processor("any", 4, ("AVX2",))
    return [*advice(software, machine, memory, engines, nvidia, jetson, cache)]


def test_a_machine_without_fault_gets_no_advice() -> None:
    assert advised() == []


def test_what_is_unknown_gives_no_advice() -> None:
    assert [*advice(None, None, None, None, None, None, None)] == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"engines": ()}, "pip install 'edgecodec"),
        ({"engines": (CPU, replace(CPU, usable=False, problem="gave no answer in 30 s"))}, "hangs"),
        ({"nvidia": WITH_GPU}, "No engine uses the NVIDIA H200: install onnxruntime-gpu"),
        ({"nvidia": WITH_GPU, "engines": (CPU, PLANS)}, "tensorrt needs a plan: edgecodec build BUNDLE"),
        ({"nvidia": replace(NO_GPU, present=True)}, "no driver"),
        ({"nvidia": replace(NO_GPU, present=True, driver="580.1")}, "--gpus all"),
        ({"memory": Memory(1 << 34, 1 << 33, 1 << 29)}, "Only 512 MB"),
        ({"cache": Cache("/nowhere", 0, False)}, "/nowhere cannot be written to. Set XDG_CACHE_HOME"),
        ({"jetson": Jetson("Orin", "36.4.3", "1 (7W)", ()), "nvidia": WITH_GPU}, "Power mode 1 (7W)"),
        (
            {"software": replace(SOFTWARE, library=replace(SOFTWARE.library, kernels="scalar"))},
            "scalar kernels although the processor has AVX2",
        ),
    ],
)
def test_each_fault_gets_its_advice(case: dict[str, object], words: str) -> None:
    assert any(words in sentence for sentence in advised(**case))  # type: ignore[arg-type]


def test_a_gpu_that_an_engine_uses_needs_no_advice() -> None:
    assert advised(nvidia=WITH_GPU, engines=(CPU, PLANS, replace(CPU, name="onnxruntime:cuda", device="cuda"))) == []
