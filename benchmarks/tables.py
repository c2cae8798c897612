"""What the benchmarks print: tables in Markdown, as docs/performance.md has them."""

from __future__ import annotations

from collections.abc import Iterable


def show(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    heads = list(heads)
    print(f"\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for row in rows:
        print(f"| {' | '.join(map(text, row))} |", flush=True)


def text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)
