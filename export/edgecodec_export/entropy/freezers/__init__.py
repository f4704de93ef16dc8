"""From float entropy models to integer ones, one file for each kind.

A freezer knows layers and, by a protocol, what it needs of a model. Which freezer a family has is the family's answer
(`LearnedCodec.freezer`).
"""
