"""Damages indexes at random, and compares what the native reader says of them with what an independent reader says.

    PYTHONPATH=tests python -m scripts.damaged_indexes --count 100000 --seed 1

Stops with a traceback, and the bytes, at the first difference: one reader accepts what the other refuses, or they read
it in two ways. Prints how many indexes were accepted, and how many were refused by which rule.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter

from support import native_index
from support.index_file import Refused, decode, encode
from support.native_index import Refusal
from support.sample_indexes import damaged, every_change, rich_index


def outcome(data: bytes) -> str:
    """Either "accepted", or the field and the rule by which the native reader refuses it."""
    try:
        expected = decode(data)
    except Refused:
        expected = None
    try:
        described = native_index.read(data)
    except Refusal as refusal:
        if expected is not None:
            raise AssertionError(f"refused: {refusal.message}: {data.hex()}") from refusal
        if refusal.status not in (40, 43) or not -1 <= refusal.offset <= len(data):
            raise AssertionError(f"odd refusal {refusal}: {data.hex()}") from refusal
        return re.sub(r"(?<=[ \[])-?\d[\d.e+]*", "N", refusal.message)
    if expected is None or described != expected or encode(described) != data:
        raise AssertionError(f"read in another way: {data.hex()}")
    return "accepted"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    source = random.Random(arguments.seed)
    rich = encode(rich_index())
    valid = [rich, *(data for _, data in every_change(rich_index()) if outcome(data) == "accepted")]
    outcomes: Counter[str] = Counter()
    for _ in range(arguments.count):
        outcomes[outcome(damaged(source.choice(valid), valid, source))] += 1
    accepted = outcomes.pop("accepted", 0)
    print(f"{arguments.count} damaged indexes: {accepted} accepted, {outcomes.total()} refused in {len(outcomes)} ways")
    for message, count in outcomes.most_common():
        print(f"{count:8} {message}")


if __name__ == "__main__":
    main()
