"""Model repositories of NVIDIA Triton Inference Server: decoders of a bundle that take whole files."""
