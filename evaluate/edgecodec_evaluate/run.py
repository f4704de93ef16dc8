"""An evaluation in a folder: it measures what is not measured yet, and writes tables and pictures of all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from edgecodec import files, picture
from edgecodec.codec import Codec
from edgecodec.doctor.report import machine
from edgecodec.errors import CannotWrite, InvalidArgument
from edgecodec_evaluate.contact_sheet import write_contact_sheet
from edgecodec_evaluate.measurement import Key, Measurement
from edgecodec_evaluate.measuring import Measuring
from edgecodec_evaluate.metrics.networks import NETWORKS, load_networks
from edgecodec_evaluate.peers import peers_named
from edgecodec_evaluate.plots.rate import write_rate_distortion, write_rate_perception
from edgecodec_evaluate.plots.trade_off import write_trade_off
from edgecodec_evaluate.points import points
from edgecodec_evaluate.record import Record
from edgecodec_evaluate.settings import Settings, identity, joined, read_identity
from edgecodec_evaluate.summary import Summary, differences, means

MEASUREMENTS, SETTINGS, SUMMARY = "measurements.csv", "settings.json", "summary.json"
CONTACT_SHEET = "contact_sheet.png"
RATE_DISTORTION, RATE_PERCEPTION, TRADE_OFF = "rate_distortion", "rate_perception", "trade_off"
_PLOTS = tuple(f"{stem}.{kind}" for stem in (RATE_DISTORTION, RATE_PERCEPTION, TRADE_OFF) for kind in ("png", "svg"))


@dataclass(frozen=True)
class Progress:
    """done, total: measurements, of all pictures. text: what was done last."""

    done: int
    total: int
    text: str


#: Who is told of progress.
Report = Callable[[Progress], None]


class Run:
    """What `evaluation` opens. pictures: paths by name. done, total: how many measurements there are, and will be.

    They are counted once, because a folder may have thousands of pictures.
    """

    def __init__(
        self,
        folder: Path,
        pictures: Mapping[str, Path],
        settings: Settings,
        measuring: Measuring,
        asked: Mapping[str, Any],
    ) -> None:
        """asked: the identity of what is asked for now; the folder may have more."""
        self.pictures = pictures
        self._folder = folder
        self._settings = settings
        self._measuring = measuring
        self._asked = asked
        self._record = Record(folder / MEASUREMENTS)
        keys = [key for name in pictures for key in measuring.keys(name)]
        self.done, self.total = sum(map(self._is_done, keys)), len(keys)

    @property
    def codec(self) -> Codec:
        return self._measuring.codec

    @property
    def complete(self) -> list[str]:
        """Names of the pictures that have all their measurements."""
        return [name for name in self.pictures if self._is_complete(name)]

    def measure(self, name: str, report: Report = lambda progress: None) -> tuple[str, ...]:
        """All points of one picture, each on disk as soon as it is measured.

        Returns what was changed in the picture before it was coded, a note each, and nothing where nothing was left to
        measure. Raises what reading, encoding and decoding raise; the other pictures can be measured all the same.
        """
        if self._is_complete(name):
            return ()
        original = picture.read(self.pictures[name], self._settings.limits, self._settings.alpha_channel)
        for measurement in self._measuring.measure(name, original, self._is_done):
            self._record.append(self._with_others(measurement))
            self.done += 1
            point = " ".join(filter(None, (measurement.codec, measurement.encoder, measurement.decoder)))
            report(Progress(self.done, self.total, f"{name}: {point}"))
        return original.notes

    def finish(self) -> Summary:
        """Write the summary, the plots and the contact sheet, over the pictures that have all their measurements.

        They are of the formats and scores that this run was asked for; the table has those of earlier ones too.

        Raises InvalidArgument where no picture has, CannotWrite, and what coding the pictures of the sheet raises.
        """
        complete = self.complete
        if not complete:
            raise InvalidArgument("no picture was measured", where=str(self._folder))
        self._record.sort([key for name in self.pictures for key in self._measuring.keys(name)])
        write_contact_sheet(
            self._folder / CONTACT_SHEET,
            [(name, self.pictures[name]) for name in complete],
            self._measuring,
            self._settings,
        )
        summary = self._summary(complete)
        _remove(self._folder, _PLOTS)  # not every run draws all of them
        write_rate_distortion(summary, self._folder / RATE_DISTORTION)
        write_rate_perception(summary, self._folder / RATE_PERCEPTION)
        write_trade_off(summary, self._folder / TRADE_OFF)
        files.write(self._folder / SUMMARY, _json(summary.facts()), force=True)
        return summary

    def _is_complete(self, name: str) -> bool:
        return all(map(self._is_done, self._measuring.keys(name)))

    def _is_done(self, key: Key) -> bool:
        return self._measuring.is_whole(self._record.get(key))

    def _with_others(self, measurement: Measurement) -> Measurement:
        """With the scores that the measurement before had from networks that are not asked for now."""
        before = self._record.get(measurement.key)
        others: dict[str, Any] = {name: getattr(before, name, None) for name in self._unasked}
        return replace(measurement, **others)

    @property
    def _unasked(self) -> list[str]:
        return [name for name in NETWORKS if name not in self._measuring.networks]

    def _summary(self, complete: Sequence[str]) -> Summary:
        measuring = self._measuring
        measured = self._record.of([key for name in complete for key in measuring.keys(name)])
        without: dict[str, Any] = dict.fromkeys(self._unasked)
        found = means(replace(each, **without) for each in measured)
        default = next((point for point in measuring.points if point.default), measuring.points[0])
        return Summary(
            codec=measuring.name,
            default_encoder=default.name,
            pictures=tuple(complete),
            left_out=tuple(name for name in self.pictures if name not in complete),
            points=tuple(found),
            bd_rates=tuple(differences(measuring.name, found)),
            about=self._about(),
            networks=tuple(measuring.networks),
        )

    def _about(self) -> dict[str, Any]:
        info, engine = self.codec.info, self._measuring.engine
        return {
            "bundle": {
                "name": Path(info.path).resolve().name,
                "family": info.family,
                "preset": info.preset,
                "models": [model.id for model in info.models],
            },
            "run": self._asked,
            "engine": None if engine is None else asdict(engine),
            "packages": {name: metadata.version(name) for name in ("torch", "pytorch-msssim", "pillow", "numpy")},
            "machine": asdict(machine()),
        }


@contextmanager
def evaluation(
    bundle: Path, pictures: Mapping[str, Path], folder: Path, settings: Settings, *, force: bool = False
) -> Iterator[Run]:
    """Begin an evaluation of a bundle in `folder`, or go on with the one there.

    pictures: paths by the names that they have in tables, each one line of text. force: begin anew, whatever is there.

    Raises InvalidArgument and EngineUnavailable for formats that cannot be compared with, what opening a bundle raises,
    KnobUnavailable, OutputExists for a folder with another evaluation, CannotRead, CannotWrite, and CheckpointRejected
    for weights of another network.
    """
    if not pictures:
        raise InvalidArgument("there is no picture to measure")
    if folder.resolve() in {path.parent.resolve() for path in pictures.values()}:
        raise InvalidArgument(
            "plots would lie among the pictures, and be measured the next time",
            where=str(folder),
            hint="give another -o",
        )
    peers, networks = peers_named(settings.against), load_networks(settings.weights)
    with settings.open(bundle) as codec:
        _require_no_labels(codec)
        measuring = Measuring(codec, points(codec.info, settings.knobs), peers, networks)
        asked = json.loads(_json(identity(bundle, pictures, settings, peers)))
        _claim(folder, asked, force)
        yield Run(folder, pictures, settings, measuring, asked)


def _require_no_labels(codec: Codec) -> None:
    if any(side.kind == "labels" for model in codec.info.models for side in model.side_inputs.values()):
        raise InvalidArgument(
            "the bundle needs the class of every pixel, which a folder of pictures does not give",
            where=codec.info.path,
        )


def _claim(folder: Path, wanted: Mapping[str, Any], force: bool) -> None:
    """Make the folder one of this evaluation, or see that it is one already."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(folder)) from error
    settings = folder / SETTINGS
    if force:
        _remove(folder, (MEASUREMENTS, SUMMARY, CONTACT_SHEET, *_PLOTS))
    elif settings.exists():
        wanted = joined(read_identity(settings), wanted, folder, lambda name: Record(folder / MEASUREMENTS).has(name))
    else:
        for name in (MEASUREMENTS, SUMMARY):
            files.refuse_existing(folder / name)
    files.write(settings, _json(wanted), force=True)


def _remove(folder: Path, names: Iterable[str]) -> None:
    try:
        for name in names:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise CannotWrite(error.strerror or str(error), where=str(folder)) from error


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode()
