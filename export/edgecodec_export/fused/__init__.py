"""Fused graphs: one ONNX file from the bytes of a coded picture to its pixels, for any session of ONNX Runtime.

Made from the files of a bundle, without torch.
"""
