"""Inference backends, one file each. `edgecodec.backends` finds them by name."""
