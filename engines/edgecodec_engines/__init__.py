"""Inference backends, one file each. `edgecodec.engine_registry` finds them by name."""
