"""Draw the tables of docs/performance.md: ``python -m benchmarks.plots``, with matplotlib (extra ``bench``)."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

DOCS = Path(__file__).resolve().parents[1] / "docs"
OURS, OTHERS = "#2457c5", "#9aa5b8"
WIDTH = 7  # inches
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "", "font.size": 9, "font.family": "sans-serif"})


def main() -> None:
    text = (DOCS / "performance.md").read_text(encoding="utf-8")
    servers(table(text, "As PostgreSQL comes"), table(text, "With prepared statements"))
    growth(table(text, "Growth"))


def table(text: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below *heading*, without its heads."""
    below = re.split(rf"^#+ {re.escape(heading)}$", text, maxsplit=1, flags=re.MULTILINE)[1]
    lines = re.search(r"^\|(?:.*\n\|)+.*$", below, flags=re.MULTILINE)
    assert lines, heading
    rows = [[cell.strip(" `*") for cell in line.strip("|").split("|")] for line in lines[0].splitlines()]
    return rows[2:]


def servers(as_it_comes: list[list[str]], prepared: list[list[str]]) -> None:
    """Draw how many webhooks each server answers a second, without those of a bad signature, which dwarf all."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    for axes, title, rows in zip(
        figure.subplots(1, 2, sharey=True),
        ("as PostgreSQL comes", "with prepared statements"),
        (as_it_comes, prepared),
        strict=True,
    ):
        shown = [row for row in rows if "bad signature" not in row[0]][::-1]
        rates = [float(row[1]) for row in shown]
        colours = [OURS if row[0].startswith("the app") else OTHERS for row in shown]
        bars = axes.barh([row[0] for row in shown], rates, color=colours)
        axes.bar_label(bars, fmt="%.0f", padding=3)
        axes.set_xlim(0, max(rates) * 1.2)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("webhooks a second")
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, "performance-webhooks.svg")


def growth(rows: list[list[str]]) -> None:
    """Draw what everything costs at a million connections, as a multiple of the smallest with as full a page."""
    figure = Figure(figsize=(WIDTH, 0.24 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots()
    rows.reverse()
    rows = [row for row in rows if row[4]]
    ratios = [float(row[4]) for row in rows]
    bars = axes.barh([row[0] for row in rows], ratios, color=OURS)
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1.15, color=OTHERS, linewidth=1)
    axes.set_xlim(0, max(ratios) * 1.1)
    axes.margins(y=0.01)
    axes.set_xlabel("time at 1 000 000 connections\n/ time at 1 000, or at 100 000\n(the line is at 1.15)")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, "performance-growth.svg")


def save(figure: Figure, name: str) -> None:
    path = DOCS / "images" / name
    figure.savefig(path, metadata={"Date": None})
    # Lines must not end with blanks, in files that are committed.
    path.write_text(
        re.sub(r"[ \t]+$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
