"""One codec serves many threads, and results do not depend on how many there are."""

from __future__ import annotations

import gc
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import edgecodec
from edgecodec import native
from edgecodec.codec import Codec
from edgecodec.decoded import Decoded
from edgecodec.engine import Engine
from edgecodec.errors import Corrupt, EdgecodecError, InvalidArgument
from edgecodec_engines.onnxruntime import OnnxRuntime
from edgecodec_engines.openvino import OpenVino
from edgecodec_engines.stub import Stub
from support.engines import needs_openvino
from support.paths import PHOTOS, TINY

PATIENCE = 60  # seconds, for something that must happen


@pytest.fixture(scope="module")
def files(codec: Codec) -> list[bytes]:
    return [codec.encode(path).data for path in PHOTOS]


def test_many_threads_one_codec(codec: Codec, files: list[bytes]) -> None:
    expected = [codec.decode(data).pixels for data in files]
    with ThreadPoolExecutor(8) as pool:
        for k, decoded in enumerate(pool.map(codec.decode, files * 16)):
            np.testing.assert_array_equal(decoded.pixels, expected[k % len(files)])


def test_many_threads_load_a_graph_once(files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = Stub.load.__func__  # type: ignore[attr-defined]

    def counted(*arguments: Any) -> Any:
        loads.append(1)
        return load(*arguments)

    monkeypatch.setattr(Stub, "load", classmethod(counted))
    with edgecodec.open_bundle(TINY, "stub") as codec, ThreadPoolExecutor(8) as pool:
        list(pool.map(codec.decode, files * 4))
    assert len(loads) == 1


@pytest.mark.usefixtures("python_backend")
@pytest.mark.parametrize(
    ("engine", "kind"),
    [("stub", Stub), ("onnxruntime", OnnxRuntime), pytest.param("openvino", OpenVino, marks=needs_openvino)],
)
def test_closing_lets_other_threads_finish(
    files: list[bytes], monkeypatch: pytest.MonkeyPatch, engine: str, kind: type[Engine]
) -> None:
    """Here between the moment at which one has its engine and the call."""
    ready, closed = threading.Event(), threading.Event()
    run, close = kind.run, kind.close
    closings: list[Engine] = []

    def run_late(self: Engine, inputs: Any) -> Any:
        ready.set()
        assert closed.wait(PATIENCE)
        return run(self, inputs)

    def noted(self: Engine) -> None:
        closings.append(self)
        close(self)

    monkeypatch.setattr(kind, "run", run_late)
    monkeypatch.setattr(kind, "close", noted)
    codec = edgecodec.open_bundle(TINY, engine, threads=1)
    with ThreadPoolExecutor(1) as pool:
        decoding = pool.submit(codec.decode, files[0])
        assert ready.wait(PATIENCE)
        codec.close()
        assert not closings
        closed.set()
        assert decoding.result().pixels.size
    assert len(closings) == 1
    codec.close()
    assert len(closings) == 1


def test_closing_at_any_time_changes_no_picture(files: list[bytes]) -> None:
    """Of an engine that loads and runs graphs where Python sees nothing of it."""
    with edgecodec.open_bundle(TINY, "onnxruntime", threads=1) as codec, ThreadPoolExecutor(4) as pool:
        expected = [codec.decode(data) for data in files]
        decoding = [pool.submit(codec.decode, data) for data in files * 16]
        while not all(each.done() for each in decoding):
            codec.close()
        for k, each in enumerate(decoding):
            np.testing.assert_array_equal(each.result().pixels, expected[k % len(files)].pixels)
            assert each.result().engine == expected[0].engine


def test_a_signal_handler_may_close_what_it_interrupts(files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    codec = edgecodec.open_bundle(TINY, "stub")
    load = Stub.load.__func__  # type: ignore[attr-defined]

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return load(*arguments)

    monkeypatch.setattr(Stub, "load", classmethod(interrupted))
    before = signal.signal(signal.SIGINT, lambda number, frame: codec.close())
    try:
        assert codec.decode(files[0]).pixels.size
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_change_nothing(codec: Codec, files: list[bytes], threads: int) -> None:
    with edgecodec.open_bundle(TINY, "onnxruntime", threads=threads) as other:
        for path, data in zip(PHOTOS, files, strict=True):
            assert other.encode(path).data == data
            for name, latent in codec.decode_latents(data).items():
                np.testing.assert_array_equal(other.decode_latents(data)[name], latent)


def test_a_machine_of_a_thousand_processors(codec: Codec, files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(1000)), raising=False)
    with edgecodec.open_bundle(TINY, "stub") as other:
        assert other.encode(PHOTOS[0]).data
        for name, latent in codec.decode_latents(files[0]).items():
            np.testing.assert_array_equal(other.decode_latents(files[0])[name], latent)


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused(threads: int) -> None:
    with pytest.raises(InvalidArgument):
        edgecodec.open_bundle(TINY, "stub", threads=threads)


def test_decode_many_is_decode_in_order(codec: Codec, files: list[bytes]) -> None:
    for data, decoded in zip(files * 2, codec.decode_many(iter(files * 2)), strict=True):
        np.testing.assert_array_equal(decoded.pixels, codec.decode(data).pixels)


def test_decode_many_of_nothing(codec: Codec) -> None:
    assert list(codec.decode_many([])) == []


def test_decode_many_raises_in_its_place(codec: Codec, files: list[bytes]) -> None:
    results = codec.decode_many([files[0], files[1][:-1], files[2]])
    assert isinstance(next(results), Decoded)
    with pytest.raises(Corrupt):
        next(results)


def test_decode_many_goes_on_after_an_error(codec: Codec, files: list[bytes]) -> None:
    results = list(codec.decode_many([files[0], files[1][:-1], files[2]], errors="return"))
    assert [type(result) for result in results] == [Decoded, Corrupt, Decoded]


def test_the_entropy_stage_overlaps_the_engine(files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine may only finish the first picture once the entropy stage of the second is done."""
    second_parsed = threading.Event()
    begin, run = Codec._begin, Stub.run
    parsed = []

    def begin_and_tell(self: Codec, source: Any, asked: Any) -> Any:
        result = begin(self, source, asked)
        parsed.append(source)
        if len(parsed) == 2:
            second_parsed.set()
        return result

    def run_after_that(self: Stub, inputs: Any) -> dict[str, npt.NDArray[Any]]:
        assert second_parsed.wait(PATIENCE)
        return run(self, inputs)

    monkeypatch.setattr(Codec, "_begin", begin_and_tell)
    monkeypatch.setattr(Stub, "run", run_after_that)
    with edgecodec.open_bundle(TINY, "stub", threads=1) as codec:
        assert len(list(codec.decode_many(files))) == len(files)


def test_decode_many_holds_two_pictures_at_most(codec: Codec, files: list[bytes]) -> None:
    taken = []

    def sources() -> Any:
        for data in files * 4:
            taken.append(data)
            yield data

    for done, _ in enumerate(codec.decode_many(sources()), start=1):
        assert len(taken) <= done + 1


def test_leaving_decode_many_early_leaves_no_thread(codec: Codec, files: list[bytes]) -> None:
    def all_workers() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("edgecodec-decode")}

    def workers() -> set[threading.Thread]:
        return all_workers() - earlier

    earlier = all_workers()  # of generators that other tests have left to the garbage collector
    results = codec.decode_many(files)
    next(results)
    assert workers()
    results.close()  # type: ignore[attr-defined]
    assert not workers()


def test_a_closed_codec_opens_its_engine_again(files: list[bytes]) -> None:
    codec = edgecodec.open_bundle(TINY, "stub")
    first = codec.decode(files[0]).pixels
    codec.close()
    codec.close()
    np.testing.assert_array_equal(codec.decode(files[0]).pixels, first)


def test_errors_on_the_worker_are_typed(codec: Codec) -> None:
    (error,) = codec.decode_many([b"nothing"], errors="return")
    assert isinstance(error, EdgecodecError)


def test_what_is_released_last_outlives_a_reference_cycle() -> None:
    released: list[str] = []
    codec = native.Owned(released.append, "codec")
    job = native.Owned(released.append, "job", codec)
    cycle: list[object] = [codec, job]
    cycle.append(cycle)
    del codec, job, cycle
    gc.collect()
    assert released == ["job", "codec"]
