"""Layers and small functions that several families, bakings or freezers use. Layout is NCHW, float32, throughout."""
