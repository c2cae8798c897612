"""Draw docs/images/layers.svg from the imports, so that it shows what is: ``python docs/pictures/layers.py``.

The layers are those of the contract "Imports go one way" in pyproject.toml, which import-linter holds; the arrows are
the imports that grimp, on which import-linter is built, finds in the source. An arrow that follows from others is left
out (a transitive reduction): where web imports flows and flows imports facts, none leads from web to facts.

With ``--check`` nothing is written, and it ends with 1 if the picture is not what it would be. All sums are exact, so
that every Python draws the same.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import fsum
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "layers.svg"
PACKAGE = "business_os_banking"
CONTRACT = "Imports go one way"
CAPTIONS = (
    "what a site, its people and its timers meet",
    "texts, and mistakes of set-up",
    "what is done",
    "facts",
    "the site's own answers",
    "tables, Business OS, and limits",
    "settings and words",
)

Edge = tuple[str, str]

WIDTH, MARGIN = 800, 14  # all lengths are those of the picture, which is 800 wide
PAD, CHARACTER = 11, 7.25
GAP, LEAST_GAP = 34, 16
STEEPEST = 0.3  # how far an arrow may lean, sideways for each step down, where it passes between boxes
BOX, ROW, CAPTION, BETWEEN, LEGEND = 28, 34, 25, 13, 58
STRENGTHS = ((12, 3.2), (4, 2.0), (1, 1.1))  # imports from so many on, and how thick the arrow is then


@dataclass
class Node:
    """A room in its row; or, without a name, the place where an arrow passes a row."""

    name: str
    row: int
    x: float = 0
    above: list[Node] = field(default_factory=list)
    below: list[Node] = field(default_factory=list)

    @property
    def width(self) -> float:
        return len(self.name) * CHARACTER + 2 * PAD if self.name else 6


def layers() -> tuple[list[list[str]], list[str]]:
    """Return the rooms of each layer, the highest first, and what is outside of all layers."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    contract = next(item for item in contracts if item["name"] == CONTRACT)
    return [re.split(r"\s*[:|]\s*", layer) for layer in contract["layers"]], contract["exhaustive_ignores"]


def imports() -> Counter[Edge]:
    """Return how many imports lead from room to room: pairs of modules, those for typing alone included."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    pairs = (
        (room_of(module), room_of(imported))
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    )
    return Counter((room, other) for room, other in pairs if room != other)


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def reduced(edges: Iterable[Edge]) -> list[Edge]:
    """Return the edges that do not follow from others. There must be no circle."""
    edges = sorted(edges)
    leads: dict[str, set[str]] = {}
    for room, other in edges:
        leads.setdefault(room, set()).add(other)

    def reached(room: str) -> set[str]:
        return set().union(*({other} | reached(other) for other in leads.get(room, ())))

    return [
        (room, other)
        for room, other in edges
        if not any(other in reached(between) for between in leads[room] - {other})
    ]


# --- Where everything stands ---------------------------------------------------------------------------


def rows_of(plan: list[list[str]], edges: Iterable[Edge]) -> list[list[list[str]]]:
    """Return the rows of each layer: rooms of one layer that import each other stand below each other."""
    edges = list(edges)

    def depth(room: str, layer: list[str]) -> int:
        above = (depth(other, layer) for other, target in edges if target == room and other in layer)
        return max(above, default=-1) + 1

    found = []
    for layer in plan:
        depths = {room: depth(room, layer) for room in layer}
        found.append([[room for room in layer if depths[room] == row] for row in sorted({*depths.values()})])
    return found


def placed(rows: list[list[str]], edges: list[Edge]) -> tuple[list[list[Node]], dict[Edge, list[Node]]]:
    """Return the nodes of each row from left to right, and those along each arrow."""
    grid = [[Node(name, number) for name in row] for number, row in enumerate(rows)]
    known = {node.name: node for row in grid for node in row}
    paths = {}
    for room, other in edges:
        start, end = known[room], known[other]
        path = [start, *(Node("", row) for row in range(start.row + 1, end.row)), end]
        for node, following in pairwise(path):
            node.below.append(following)
            following.above.append(node)
        for node in path[1:-1]:
            grid[node.row].append(node)
        paths[room, other] = path
    sort(grid)
    for _ in range(200):
        for row in [*grid, *reversed(grid)]:
            settle(row)
    return grid, paths


def sort(grid: list[list[Node]]) -> None:
    """Order each row so that few arrows cross: by the mean of its neighbours, from both ends, as often as it helps."""
    for row in grid:
        number(row)
    best, order = crossings(grid), [list(row) for row in grid]
    for turn in range(40):
        down = turn % 2 == 0
        for row in grid if down else reversed(grid):
            row.sort(key=lambda node: mean(node.above if down else node.below, node.x))
            number(row)
        swap(grid)
        if (now := crossings(grid)) < best:
            best, order = now, [list(row) for row in grid]
    grid[:] = order
    for row in grid:
        number(row)


def swap(grid: list[list[Node]]) -> None:
    """Let neighbours change places as long as that spares a crossing."""
    better = True
    while better:
        better = False
        for row in grid:
            for place in range(len(row) - 1):
                before = crossings(grid)
                row[place : place + 2] = reversed(row[place : place + 2])
                number(row)
                if crossings(grid) < before:
                    better = True
                else:
                    row[place : place + 2] = reversed(row[place : place + 2])
                    number(row)


def crossings(grid: list[list[Node]]) -> int:
    count = 0
    for row in grid:
        ends = sorted((node.x, other.x) for node in row for other in node.below)
        count += sum(a[0] < b[0] and a[1] > b[1] for place, a in enumerate(ends) for b in ends[place + 1 :])
    return count


def number(row: list[Node]) -> None:
    for place, node in enumerate(row):
        node.x = place


def mean(nodes: list[Node], otherwise: float) -> float:
    return fsum(node.x for node in nodes) / len(nodes) if nodes else otherwise


def settle(row: list[Node]) -> None:
    """Move the nodes of *row*, in their order, as near to the mean of their neighbours as there is room for."""
    left, right = MARGIN + 14, WIDTH - MARGIN - 14
    spare = (right - left - fsum(node.width for node in row)) / max(len(row) - 1, 1)
    offsets, offset = [0.0], 0.0
    for node, following in pairwise(row):
        gap = GAP if node.name and following.name else LEAST_GAP
        offset += (node.width + following.width) / 2 + min(gap, spare)
        offsets.append(offset)
    blocks: list[
        tuple[float, float, int]
    ] = []  # where its nodes want to be, how strongly, and how many they are
    for node, offset in zip(row, offsets, strict=True):
        pulls = [(pull(node, other), other.x) for other in (*node.above, *node.below)] or [(1, WIDTH / 2)]
        force, size = float(sum(weight for weight, _x in pulls)), 1
        wish = fsum(weight * x for weight, x in pulls) / force - offset
        while blocks and blocks[-1][0] > wish:
            last, strength, count = blocks.pop()
            wish = (last * strength + wish * force) / (strength + force)
            force, size = strength + force, count + size
        blocks.append((wish, force, size))
    low, high = left + row[0].width / 2, right - row[-1].width / 2 - offsets[-1]
    wishes = [max(low, min(high, wish)) for wish, _force, size in blocks for _ in range(size)]
    for node, wish, offset in zip(row, wishes, offsets, strict=True):
        node.x = wish + offset


def pull(node: Node, other: Node) -> int:
    """Return how strongly the two want to stand below each other: where an arrow passes rows, it should be straight."""
    return 1 if node.name and other.name else 3 if node.name or other.name else 12


# --- The drawing ---------------------------------------------------------------------------------------

ROLE = 'role="img" aria-labelledby="title desc"'
HEAD = (
    'id="head" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6.5" markerHeight="6.5" orient="auto" '
    'markerUnits="userSpaceOnUse"'
)
STYLE = """
  svg { --paper: #ffffff; --band: #f3f5f8; --ink: #1c2330; --soft: #667085; --line: #8d99ae; --room: #dbe6fb;
        --edge: #9db7e8; --module: #ffffff; --rim: #c3cad6; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #131519; --band: #1c2026; --ink: #e6e9ef; --soft: #98a2b3; --line: #7c879a; --room: #22365c;
          --edge: #48669f; --module: #15181d; --rim: #424b59; }
  }
  text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--ink); }
  .caption { font: 11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--soft); }
  .halo { paint-order: stroke; stroke: var(--band); stroke-width: 4px; stroke-linejoin: round; }
  .paper { fill: var(--paper); } .band { fill: var(--band); }
  .room { fill: var(--room); stroke: var(--edge); } .module { fill: var(--module); stroke: var(--rim); }
  .import { fill: none; stroke: var(--line); } .head { fill: var(--line); }
"""


def picture() -> str:
    """Return the text of the SVG."""
    plan, outside = layers()
    counts = imports()
    rooms = {room for layer in plan for room in layer}
    edges = reduced(edge for edge in counts if rooms.issuperset(edge))
    stories = rows_of(plan, edges)
    grid, paths = placed([row for rows in stories for row in rows], edges)
    tops, bands, height = heights([len(rows) for rows in stories])
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {ROLE}>',
        '<title id="title">The rooms of the package, in six layers, and what imports what</title>',
        f'<desc id="desc">{escape(in_words(plan, edges, counts))}</desc>',
        f"<style>{STYLE}</style>",
        f"<marker {HEAD}>",
        '<path class="head" d="M0 0L6 3L0 6z"/></marker>',
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
    ]
    lines += [
        f'<rect class="band" x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{deep}" rx="6"/>'
        for top, deep in bands
    ]
    lines += [arrow(edge, paths, tops, counts[edge]) for edge in edges]
    for place, ((top, _deep), caption) in enumerate(zip(bands, CAPTIONS, strict=True), start=1):
        lines.append(
            f'<text class="caption halo" x="{MARGIN + 12}" y="{top + 18}">{place}&#160;&#160;{escape(caption)}</text>'
        )
    lines += [box(node, tops[node.row]) for row in grid for node in row if node.name]
    lines += legend(height - LEGEND, outside)
    return "\n".join([*lines, "</svg>", ""])


def heights(rows: list[int]) -> tuple[list[int], list[tuple[int, int]], int]:
    """Return the top of each row of boxes, the top and the height of each layer's band, and the height of all."""
    tops, bands, y = [], [], MARGIN
    for count in rows:
        deep = CAPTION + count * BOX + (count - 1) * ROW + 10
        bands.append((y, deep))
        tops += [y + CAPTION + place * (BOX + ROW) for place in range(count)]
        y += deep + BETWEEN
    return tops, bands, y + LEGEND


def arrow(edge: Edge, paths: dict[Edge, list[Node]], tops: list[int], count: int) -> str:
    """Return the arrow as a curve that leaves and arrives upright, and passes rows between boxes nearly so."""
    path = paths[edge]
    start, end = path[0], path[-1]
    points: list[tuple[float, float]] = [(port(start, start.below, path[1]), tops[start.row] + BOX)]
    points += [(node.x, tops[node.row] + BOX / 2) for node in path[1:-1]]
    points.append((port(end, end.above, path[-2]), tops[end.row] - 1))
    slants = [(x2 - x1) / (y2 - y1) for (x1, y1), (x2, y2) in pairwise(points)]
    # Of two slants to the same side the harmonic mean: the curve does not swing beyond its points.
    means = [2 * a * b / (a + b) if a * b > 0 else 0.0 for a, b in pairwise(slants)]
    x, y = points[0]
    slant = 0.0
    drawn = f"M{x:.1f} {y:.1f}"
    for (to_x, to_y), lean in zip(points[1:], [*means, 0.0], strict=True):
        bent = max(-STEEPEST, min(STEEPEST, lean))
        half = 0.0 if (to_x, to_y) == points[-1] else BOX / 2
        in_x, in_y = to_x - bent * half, to_y - half
        reach = (in_y - y) * 0.48
        drawn += f"C{x + slant * reach:.1f} {y + reach:.1f} {in_x - bent * reach:.1f} {in_y - reach:.1f} "
        drawn += f"{in_x:.1f} {in_y:.1f}"
        x, y, slant = to_x + bent * half, to_y + half, bent
        drawn += f"L{x:.1f} {y:.1f}" if half else ""
    thick = next(width for least, width in STRENGTHS if count >= least)
    return f'<path class="import" d="{drawn}" stroke-width="{thick}" marker-end="url(#head)"/>'


def port(node: Node, others: list[Node], other: Node) -> float:
    """Return where on its edge *node* is left for, or reached from, *other*: they stand side by side."""
    place = sorted(range(len(others)), key=lambda index: others[index].x).index(
        next(index for index, item in enumerate(others) if item is other)
    )
    room = min(node.width - 16, 15 * (len(others) - 1))
    return node.x + (place / (len(others) - 1) - 0.5) * room if len(others) > 1 else node.x


def box(node: Node, top: int) -> str:
    kind = "room" if (ROOT / PACKAGE / node.name).is_dir() else "module"
    return (
        f'<rect class="{kind}" x="{node.x - node.width / 2:.1f}" y="{top}" width="{node.width:.1f}" '
        f'height="{BOX}" rx="5"/><text x="{node.x:.1f}" y="{top + 18}" text-anchor="middle">{node.name}</text>'
    )


def legend(y: int, outside: list[str]) -> list[str]:
    def note(x: int, text: str, down: int = 1) -> str:
        return f'<text class="caption" x="{x}" y="{y + down}">{text}</text>'

    y += 8
    lines = [
        f'<rect class="room" x="26" y="{y - 9}" width="20" height="12" rx="3"/>{note(53, "a room")}',
        f'<rect class="module" x="110" y="{y - 9}" width="20" height="12" rx="3"/>{note(137, "a single module")}',
        note(251, "imports:"),
    ]
    for x, (least, width) in zip((307, 399, 491), reversed(STRENGTHS), strict=True):
        lines.append(f'<path class="import" d="M{x} {y - 3}h22" stroke-width="{width}"/>')
        lines.append(note(x + 29, many(least)))
    outer = ", ".join(outside)
    left_out = f"Left out: arrows that follow from others, and what is outside of the layers ({outer})."
    return [*lines, note(26, left_out, down=24)]


def in_words(plan: list[list[str]], edges: list[Edge], counts: Counter[Edge]) -> str:
    """Return what the picture shows, for those who do not see it."""
    said = [f"Layer {place}: {', '.join(layer)}." for place, layer in enumerate(plan, start=1)]
    for layer in plan:
        for room in layer:
            targets = [f"{other} ({many(counts[room, other])})" for start, other in edges if start == room]
            said += [f"{room} imports {', '.join(targets)}."] if targets else []
    return "\n".join([*said, "Left out are imports that follow from others."])


def many(count: int) -> str:
    """Return which of the three kinds of arrows stands for *count* imports."""
    most = ""
    for least, _width in STRENGTHS:
        if count >= least:
            return f"{least} to {most}" if most else f"{least} or more"
        most = str(least - 1)
    raise ValueError(count)


def main() -> int:
    sys.path.insert(0, str(ROOT))  # this checkout, wherever the package is installed from
    made = picture()
    if "--check" not in sys.argv[1:]:
        PICTURE.write_text(made, encoding="utf-8")
    elif PICTURE.read_text(encoding="utf-8") != made:
        print("docs/images/layers.svg is not what the imports are: python docs/pictures/layers.py")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
