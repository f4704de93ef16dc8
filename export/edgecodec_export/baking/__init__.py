"""Baking: encoders and decoders of a model at fixed knobs, as modules that are ready to become graphs.

A knob is baked into the weights, so that it costs nothing at run time; or it stays an input of the encoder's graph,
where it cannot be folded into weights. This room has exact algebra on layers; a family chooses from it, and chooses its
knobs (`LearnedCodec.baking`).
"""

from __future__ import annotations

from edgecodec_export.baking.baking import NOTHING, Asked, Baking
from edgecodec_export.baking.knob import Knob, Range
from edgecodec_export.baking.point import Decoder, Encoder, Point

__all__ = ["NOTHING", "Asked", "Baking", "Decoder", "Encoder", "Knob", "Point", "Range"]
