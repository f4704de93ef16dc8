"""Rewrites: the same functions in forms that engines run faster. Exact algebra; only the rounding of floats differs.

A rewrite changes a copy of a module. What calibrates and freezes entropy models, and what every graph is compared with,
is the module as the family has it.
"""

from __future__ import annotations

from edgecodec_export.baking.rewrites.rewriting import rewritten_decoder, rewritten_encoder

__all__ = ["rewritten_decoder", "rewritten_encoder"]
