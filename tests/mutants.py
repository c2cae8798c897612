"""Mutants: rules of the package changed one at a time, to see whether a test notices: ``make mutants N=30 SEED=1``.

    python -m tests.mutants 30 1 [flows/read.py …]    thirty of the rooms in `TESTS`, or of the modules that are named

Each is made in a copy of the tree, where the tests that concern its module run until the first that fails. Tests that
find no end have noticed, too. Exit code 1: more than a tenth lived. docs/contributing.md tells which may.
"""

from __future__ import annotations

import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = "business_os_banking"
# What concerns the modules of a room; before it come the files that are named as the module is.
TESTS: Final = {
    "facts": "facts held flows accounts reading webhooks/test_reading.py web/test_return.py admin/test_actions.py "
    "hostile",
    "flows": "flows held reading accounts web/test_connect.py web/test_invitation.py admin/test_actions.py "
    "admin/test_overview.py privacy/test_erase.py api/test_idempotency.py",
    "upstream": "upstream reading hostile/test_answers.py flows/test_reconcile.py flows/test_connect.py doctor privacy",
    "webhooks": "webhooks reading hostile testing/test_verifier_contract.py facts/test_record.py doctor privacy",
}
LAST: Final = "tests/facts/test_orders.py"  # all orders of whole journeys take longer than all the rest
LEFT_OUT: Final = (".*", "__pycache__", "build", "dist", "var")
OPTIONS: Final = [
    *("-x", "-q", "--timeout=60", "-m", "not browser and not packaging and not long"),
    *("-p", "no:cacheprovider", "-p", "no:randomly"),
]
UNTOUCHED: Final = {"annotation", "returns", "decorator_list"}
NARROWING: Final = {"living", "waiting", "active", "inactive", "unmatched", "unannounced"}
_PAIRS: Final[list[tuple[type[Any], type[Any]]]] = [
    *((ast.Lt, ast.LtE), (ast.Gt, ast.GtE), (ast.Eq, ast.NotEq), (ast.In, ast.NotIn), (ast.Is, ast.IsNot)),
    *((ast.And, ast.Or), (ast.Add, ast.Sub)),
]
OTHER: Final = {**dict(_PAIRS), **{second: first for first, second in _PAIRS}}
Change = tuple[Any, "ast.AST | str"]


class Mutant(NamedTuple):
    path: Path
    line: int
    before: str
    after: str

    def diff(self) -> str:
        before, after = self.before.splitlines(), self.after.splitlines()
        return "\n".join(difflib.unified_diff(before, after, str(self.path), "mutant", n=2, lineterm=""))


def operators(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(left, ops, operands):
            for at, op in enumerate(ops):
                yield node, ast.Compare(left, [*ops[:at], OTHER[type(op)](), *ops[at + 1 :]], operands)
        case ast.BoolOp(op, values):
            yield node, ast.BoolOp(OTHER[type(op)](), values)
            for at in range(len(values)):
                yield node, ast.BoolOp(op, [*values[:at], *values[at + 1 :]])
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
            yield node, ast.BinOp(left, OTHER[type(op)](), right)
        case ast.UnaryOp(ast.Not(), operand):
            yield node, operand
        case ast.Constant(bool(value)):
            yield node, ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield node, ast.Constant(value + 1 if isinstance(value, int) else value * 2 or 1.0)


def calls(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Call(ast.Name("min" | "max" as name), args, keywords):
            yield node, ast.Call(ast.Name({"min": "max", "max": "min"}[name]), args, keywords)
            yield from ((node, argument) for argument in args if len(args) > 1)
        case ast.Call(ast.Attribute(attr="filter" | "exclude"), args, keywords):
            for at in range(len(args)):
                yield node, ast.Call(node.func, [*args[:at], *args[at + 1 :]], keywords)
            for at in range(len(keywords)):
                yield node, ast.Call(node.func, args, [*keywords[:at], *keywords[at + 1 :]])
        case ast.Call(ast.Attribute(value, name), []) if name in NARROWING:
            yield node, value


def statements(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Expr(ast.Call()) | ast.Assign([ast.Attribute() | ast.Subscript()]) | ast.AugAssign():
            yield node, "pass"
        case ast.Delete() | ast.Raise() | ast.Continue() | ast.Break():
            yield node, "pass"
        case ast.If(body=[*_, ast.Return() as last]):
            yield last, "pass"
    for condition in getattr(node, "ifs", [getattr(node, "test", None)]):
        if isinstance(condition, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr):
            yield condition, ast.UnaryOp(ast.Not(), condition)


def is_rule(node: ast.AST) -> bool:
    """Whether *node* decides anything: what people, logs and type checkers read does not."""
    match node:
        case ast.Expr(ast.Constant() | ast.Call(ast.Attribute(ast.Name("logger")))) | ast.Assert():
            return False
        case ast.If(ast.Name("TYPE_CHECKING")) | ast.keyword("strict") | ast.JoinedStr():
            return False  # of a JoinedStr, Python 3.11 does not know where its parts are
    return True


def nodes(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and name not in UNTOUCHED and is_rule(child):
                yield from nodes(child)


def mutants_of(root: Path, path: Path) -> Iterator[Mutant]:
    source = (root / path).read_text()
    data, lines = source.encode(), source.encode().splitlines(keepends=True)
    for node in nodes(ast.parse(data)):
        for old, new in (*operators(node), *calls(node), *statements(node)):
            text = new if isinstance(new, str) else f"({ast.unparse(new)})"
            start = sum(map(len, lines[: old.lineno - 1])) + old.col_offset
            end = sum(map(len, lines[: old.end_lineno - 1])) + old.end_col_offset
            yield Mutant(path, old.lineno, source, (data[:start] + text.encode() + data[end:]).decode())


def tests_of(root: Path, paths: set[Path]) -> list[str]:
    """Return the files of tests that concern these modules, of one room; those that are named as they are first."""
    [room] = {path.parent.name for path in paths}
    files = [file for path in sorted(paths) for file in sorted(root.glob(f"tests/*/test_{path.stem}.py"))]
    for place in TESTS[room].split():
        files += (
            [root / "tests" / place]
            if place.endswith(".py")
            else sorted(root.glob(f"tests/{place}/test_*.py"))
        )
    names = dict.fromkeys(str(file.relative_to(root)) for file in files)
    return sorted(names, key=lambda name: name == LAST)


def run(copy: Path, tests: list[str], seconds: float | None = None) -> str:
    """Run *tests* in *copy*; return which one failed first, or an empty text."""
    # Nothing compiled is kept: after a change within the same second it would pass for up to date.
    environ = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", *OPTIONS, *tests]
    with tempfile.TemporaryFile("w+") as out:
        try:
            done = subprocess.run(command, cwd=copy, env=environ, stdout=out, stderr=out, timeout=seconds)
        except subprocess.TimeoutExpired:
            return "the limit of time"
        out.seek(0)
        failed = [line.split(" - ")[0].strip() for line in out if line.startswith(("FAILED ", "ERROR "))]
    if done.returncode < 0:
        sys.exit(f"pytest was stopped by signal {-done.returncode}")
    return [*failed, f"exit code {done.returncode}"][0] if done.returncode else ""


def main(number: int, seed: int, *modules: str) -> int:
    limits: dict[Path, float] = {}
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        paths = [path.relative_to(copy) for room in TESTS for path in (copy / PACKAGE / room).glob("*.py")]
        named = [path for path in sorted(paths) if not modules or str(path.relative_to(PACKAGE)) in modules]
        everything = [mutant for path in named for mutant in mutants_of(copy, path)]
        sample = sorted(random.Random(seed).sample(everything, min(number, len(everything))))
        for count, mutant in enumerate(sample, 1):
            room = mutant.path.parent
            if room not in limits:  # the same tests, with nothing changed
                started = time.monotonic()
                all_tests = tests_of(copy, {other.path for other in sample if other.path.parent == room})
                if failed := run(copy, all_tests):
                    sys.exit(f"Without any mutant, this fails: {failed}")
                seconds = time.monotonic() - started
                print(f"{room}: without any mutant all pass, in {seconds:.0f} s", flush=True)
                limits[room] = 3 * seconds + 60
            (copy / mutant.path).write_text(mutant.after)
            failed = run(copy, tests_of(copy, {mutant.path}), limits[room])
            (copy / mutant.path).write_text(mutant.before)
            survivors += not failed
            print(f"{count} {mutant.path}:{mutant.line}", f"killed by {failed}" if failed else "LIVED")
            print("" if failed else mutant.diff(), end="" if failed else "\n", flush=True)
    print(f"Killed: {len(sample) - survivors} of {len(sample)}, of {len(everything)} that can be made")
    return int(survivors > len(sample) / 10)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
