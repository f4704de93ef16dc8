"""Scores of a picture that was coded, against the picture it was made of. Each takes uint8 (height, width, 3)."""
