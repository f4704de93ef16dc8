"""Numbers and tables as pages have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of Markdown."""
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def span(values: Sequence[float], decimals: int) -> str:
    """The lowest and the highest of some numbers, or the one that they all are."""
    low, high = (f"{value:.{decimals}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def millions(count: int) -> str:
    return f"{count / 1e6:.2f} million"


def thousands(multiplications: float) -> str:
    """Three digits: 16.3, 0.305."""
    return f"{multiplications / 1e3:.3g}"


def per_pixel(multiplications: float) -> str:
    return f"{thousands(multiplications)} kMAC per pixel" if multiplications else "none"


def percent(value: float | None) -> str:
    return "" if value is None else f"{value:+.0f} %"
