"""Each floor knows only those below, strategies do not know each other, and nobody goes by a name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import search_spaces

ROOT = Path(__file__).parents[1]

FLOORS = ["search_spaces", "latency_predictors", "nas", "experiments"]
"""From the ground up: each may import itself and what stands before it."""

STRATEGIES = "nas/strategies"

BELOW_EXPERIMENTS = ["latency_predictors", "nas"]


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(source: str, package: str) -> Iterator[str]:
    """Yield the full names that a module of a package imports: of modules, and of what is taken from them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> list[str]:
    return list(imports(path.read_text(), ".".join(path.relative_to(ROOT).parts[:-1])))


def strategy_names() -> list[str]:
    return [path.stem for path in files(STRATEGIES) if path.stem != "__init__"]


def told_apart(source: str, names: set[str]) -> list[int]:
    """Return the lines where code turns on one of the names: it is compared, matched, or the key of a table."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Dict):
            parts = [*node.keys]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("startswith", "endswith", "get"):
            parts = [*node.args]
        constants = (part for root in parts if root is not None for part in ast.walk(root))
        lines += [part.lineno for part in constants if isinstance(part, ast.Constant) and part.value in names]
    return lines


@pytest.mark.parametrize("floor", FLOORS)
def test_no_floor_imports_one_above(floor: str) -> None:
    above = FLOORS[FLOORS.index(floor) + 1 :]
    uphill = [(path.name, name) for path in files(floor) for name in imports_of(path) if name.split(".")[0] in above]
    assert files(floor)
    assert uphill == []


def test_no_strategy_imports_another() -> None:
    package = STRATEGIES.replace("/", ".")
    for name in strategy_names():
        others = [f"{package}.{other}." for other in strategy_names() if other != name]
        taken = [n for n in imports_of(ROOT / STRATEGIES / f"{name}.py") if f"{n}.".startswith(tuple(others))]
        assert taken == [], name


@pytest.mark.parametrize("floor", BELOW_EXPERIMENTS)
def test_no_floor_tells_spaces_or_strategies_apart_by_name(floor: str) -> None:
    names = {*search_spaces.names(), *strategy_names()}
    found = {path.name: lines for path in files(floor) if (lines := told_apart(path.read_text(), names))}
    assert found == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b, c", ["a.b", "c"]),
        ("from a.b import c", ["a.b.c"]),
        ("def f():\n    from a import b", ["a.b"]),
        ("from . import d", ["nas.strategies.d"]),
        ("from .d import e", ["nas.strategies.d.e"]),
        ("from ..d import e", ["nas.d.e"]),
    ],
)
def test_every_form_of_import_is_read(source: str, expected: list[str]) -> None:
    assert list(imports(source, "nas.strategies")) == expected


@pytest.mark.parametrize(
    "source",
    [
        "if space.name == 'x': ...",
        "if space.name in ('w', 'x'): ...",
        "match name:\n    case 'x': ...",
        "table = {'x': 1}",
        "table['x']",
        "name.startswith('x')",
    ],
)
def test_every_form_of_telling_apart_is_seen(source: str) -> None:
    assert told_apart(source, {"x"})


@pytest.mark.parametrize("source", ["default = 'x'", "def f(name='x'): ...", '"""Such as x."""', "load('x')"])
def test_naming_a_space_is_no_telling_apart(source: str) -> None:
    assert told_apart(source, {"x"}) == []
