"""Coding one picture at every point, with the bundle and with other formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from time import perf_counter

from edgecodec.codec import Codec
from edgecodec.decoded import Decoded
from edgecodec.encoding import Encoded
from edgecodec.engine import RunningEngine
from edgecodec.picture import Picture, Pixels
from edgecodec_evaluate.measurement import Key, Measurement
from edgecodec_evaluate.metrics.networks import Networks, takes
from edgecodec_evaluate.peers.peer import Peer
from edgecodec_evaluate.points import EncoderPoint, Values, bundle_name, label
from edgecodec_evaluate.scores import scores


class Measuring:
    """What codes pictures. engine: that of the decoder, once one has run."""

    def __init__(self, codec: Codec, points: Sequence[EncoderPoint], peers: Sequence[Peer], networks: Networks) -> None:
        self.codec = codec
        self.points = points
        self.peers = peers
        self.networks = networks
        self.name = bundle_name(codec.info)
        self.engine: RunningEngine | None = None
        self._warm: set[tuple[str, ...]] = set()

    def keys(self, picture: str) -> list[Key]:
        """Of all measurements of a picture, in the order in which they are made."""
        own = [(picture, self.name, point.name, label(decoder)) for point in self.points for decoder in point.decoders]
        return own + [
            (picture, peer.name, label({"quality": quality}), "") for peer in self.peers for quality in peer.qualities
        ]

    def is_whole(self, measurement: Measurement | None) -> bool:
        """Whether there is one, with the scores of all networks; it may have been made without them."""
        return measurement is not None and all(
            getattr(measurement, name) is not None or not takes(network, measurement.height, measurement.width)
            for name, network in self.networks.items()
        )

    def measure(self, name: str, picture: Picture, done: Callable[[Key], bool]) -> Iterator[Measurement]:
        """What is not done yet. Raises what encoding, decoding and `scores` raise."""
        bare = picture.without_metadata()
        for point in self.points:
            wanted = [each for each in point.decoders if not done((name, self.name, point.name, label(each)))]
            if wanted:
                encoded = self.encode(bare, point)
                for decoder in wanted:
                    yield self._decoded(name, bare, point, encoded, decoder)
        for peer in self.peers:
            for quality in peer.qualities:
                if not done((name, peer.name, label({"quality": quality}), "")):
                    yield self._of_peer(name, bare, peer, quality)

    def encode(self, picture: Picture, point: EncoderPoint) -> Encoded:
        """The first file at a point is made twice, because the first time a graph has to be loaded."""
        encoded = self.codec.encode(picture, knobs=point.knobs)
        if self._is_cold("encode", point.name):
            encoded = self.codec.encode(picture, knobs=point.knobs)
        return encoded

    def decode(self, encoded: Encoded, point: EncoderPoint, knobs: Values) -> Decoded:
        """Twice for the first file of a decoder."""
        decoded = self.codec.decode(encoded, knobs=knobs)
        if self._is_cold("decode", point.name, label(knobs)):
            decoded = self.codec.decode(encoded, knobs=knobs)
        self.engine = decoded.engine
        return decoded

    def _decoded(
        self, name: str, picture: Picture, point: EncoderPoint, encoded: Encoded, knobs: Values
    ) -> Measurement:
        decoded = self.decode(encoded, point, knobs)
        return self._measurement(
            (name, self.name, point.name, label(knobs)),
            picture,
            decoded.pixels,
            len(encoded.data),
            encoded.timings.total,
            decoded.timings.total,
        )

    def _of_peer(self, name: str, picture: Picture, peer: Peer, quality: int) -> Measurement:
        if self._is_cold(peer.name):
            peer.decode(peer.encode(picture, quality))
        start = perf_counter()
        data = peer.encode(picture, quality)
        between = perf_counter()
        pixels = peer.decode(data)
        end = perf_counter()
        key = (name, peer.name, label({"quality": quality}), "")
        return self._measurement(key, picture, pixels, len(data), between - start, end - between)

    def _is_cold(self, *point: str) -> bool:
        cold = point not in self._warm
        self._warm.add(point)
        return cold

    def _measurement(
        self,
        key: Key,
        picture: Picture,
        rebuilt: Pixels,
        size: int,
        encode_seconds: float,
        decode_seconds: float,
    ) -> Measurement:
        name, codec, encoder, decoder = key
        height, width = picture.pixels.shape[:2]
        return Measurement(
            picture=name,
            width=width,
            height=height,
            codec=codec,
            encoder=encoder,
            decoder=decoder,
            bytes=size,
            bits_per_pixel=8 * size / (width * height),
            **asdict(scores(picture.pixels, rebuilt, self.networks)),
            encode_seconds=encode_seconds,
            decode_seconds=decode_seconds,
        )
