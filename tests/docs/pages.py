"""The pages of ``docs/`` as the tests read them: tables by name, and Python samples with their context."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(DOCS.glob("*.md"))
_SAMPLE: Final = re.compile(
    r"^(?:% (context|no-run): ([^\n]+)\n\n?)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Sample:
    """One ``python`` block. ``context`` is empty for one that is not run, and ``reason`` says why."""

    page: str
    line: int
    context: str
    reason: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def samples() -> list[Sample]:
    return [_sample(page, found) for page in PAGES for found in _SAMPLE.finditer(text(page.name))]


def _sample(page: Path, found: re.Match[str]) -> Sample:
    marker, value, code = found.group(1), found.group(2) or "", found.group(3)
    line = text(page.name).count("\n", 0, found.start(3)) + 1
    return Sample(
        page=page.name,
        line=line,
        context=value if marker == "context" else "",
        reason=value if marker == "no-run" else "",
        code=code,
    )


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def table(page: str, name: str) -> list[list[str]]:
    """Return the rows of the table that follows ``% table: name``, without its head, cell by cell."""
    found = re.search(rf"^% table: {re.escape(name)}\n\n((?:\|.*\n)+)", text(page), re.MULTILINE)
    assert found, f"{page} has no table {name}"
    _head, _rule, *rows = found.group(1).splitlines()
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def column(page: str, name: str) -> list[str]:
    """Return the first column of a table, without its backquotes."""
    return [row[0].strip("`") for row in table(page, name)]


def names(cell: str) -> set[str]:
    """Return what stands in backquotes in a cell."""
    return set(re.findall(r"`([^`]+)`", cell))
