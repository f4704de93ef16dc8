"""Baked encoders and decoders as ONNX graphs: exported, compared with PyTorch, and analysed for large pictures.

`export_graphs` does all of it. The analyses (`receptive_field`, `activation_memory`) read the graphs alone.
"""
