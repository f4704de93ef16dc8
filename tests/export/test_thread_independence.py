"""However many threads PyTorch has, an export gives the same entropy model, and with it the same id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from edgecodec_export import pipeline
from edgecodec_export.bundle.description import Source
from edgecodec_export.calibration import Picture, to_tensor
from edgecodec_export.families import Agustsson, LearnedCodec
from edgecodec_export.families.crdr import Crdr
from edgecodec_export.families.fidelity import Fidelity, Preset
from edgecodec_export.one_thread import PICTURES_AT_ONCE, one_thread
from edgecodec_export.originals import Original
from support.make_tiny_bundle import tiny_halves
from support.tiny_codecs import tiny_codec


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@torch.no_grad()
def crdr() -> LearnedCodec:
    """With the entropy model of the size that is trained, latents and scales as wide as a trained one's, one level."""
    torch.manual_seed(0)
    model: Any = Crdr(replace(Crdr.PRESETS["compact-multirate"], analysis=(8, 4), synthesis=(8, 6), levels=1))
    model.analysis.down4.weight.mul_(40)
    for scale in model.context.scale:
        scale[-1].bias.fill_(1.5)
    return model


def fidelity() -> LearnedCodec:
    """With the context network of the size that is trained, between narrow transforms."""
    torch.manual_seed(0)
    return Fidelity(Preset(8, 24, (128, 192)))


class Frozen(Exception):
    """The bytes of entropy.bin."""


def frozen(model: LearnedCodec, threads: int, output: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    def stop(folder: Path, *given: object, **options: object) -> None:
        raise Frozen((folder / "entropy.bin").read_bytes())

    monkeypatch.setattr(pipeline, "export_graphs", stop)
    torch.set_num_threads(threads)
    with pytest.raises(Frozen) as stopped:
        original = Original(Source(model.FAMILY, "drawn"), model.baking(), tiny_halves())
        pipeline.write_bundle(output, [lambda: original])
    assert torch.get_num_threads() == threads
    (data,) = stopped.value.args
    assert isinstance(data, bytes)
    return data


@pytest.mark.parametrize("make", [crdr, fidelity])
def test_entropy_models_are_the_same_bytes_on_any_number_of_threads(
    make: Callable[[], LearnedCodec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make().eval().requires_grad_(False)
    assert frozen(model, 1, tmp_path / "b", monkeypatch) == frozen(model, 2, tmp_path / "b", monkeypatch)


def test_workers_have_one_thread_and_the_caller_gets_its_own_back() -> None:
    torch.set_num_threads(3)
    with pytest.raises(ZeroDivisionError), one_thread() as workers:
        assert torch.get_num_threads() == 1
        assert set(workers.map(lambda _: torch.get_num_threads(), range(2 * PICTURES_AT_ONCE))) == {1}
        _ = 1 / 0
    assert torch.get_num_threads() == 3
    with one_thread():
        pass
    assert torch.get_num_threads() == 3


def test_boxes_of_a_selective_codec_are_those_of_the_picture_in_any_order() -> None:
    model = tiny_codec("agustsson-sc")
    assert isinstance(model, Agustsson)
    pictures: list[Picture] = [*tiny_halves().calibrating, *tiny_halves().measuring]
    forward, backward = (model.freezer() for _ in range(2))
    there = [forward.observe(to_tensor(picture)) for picture in pictures]
    back = [backward.observe(to_tensor(picture)) for picture in reversed(pictures)]
    masks = [each.latents["mask"].tolist() for each in there]
    assert masks == [each.latents["mask"].tolist() for each in reversed(back)]
    assert len({str(mask) for mask in masks}) > 1
