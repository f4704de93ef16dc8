"""From float entropy models to integer ones, one file for each kind.

A freezer knows layers and, by a protocol, what it needs of a model. A family chooses its freezer
(`LearnedCodec.freezer`).
"""
