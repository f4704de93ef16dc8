"""Checks edgecodec on a GPU and measures it beside PyTorch, step by step. gpu/README.md explains how to run it."""
