"""The examples of docs/strategies.md run as they stand, those that train for a shorter time; its strategy searches."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nas.strategies
from nas import verbs
from nas.objectives import Objective
from nas.search import Search

PAGE = Path(__file__).parents[1] / "docs" / "strategies.md"
NAME = "hill_climbing"
TABLE, FRONT, GROWN, LEMONADE, OWN = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the first two examples leave behind, in a folder of their own."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for code in (TABLE, FRONT):
            exec(compile(code, PAGE.name, "exec"), names)
        yield names


def test_a_table_is_searched_for_the_best_and_for_a_front(told: dict[str, Any]) -> None:
    assert len(told["table"].rows) == 135
    assert Path("search.jsonl").exists()
    assert len(told["front"]) > 3
    assert all(len(line) <= 120 for code in (TABLE, FRONT, GROWN, LEMONADE, OWN) for line in code.splitlines())


def test_its_strategy_is_listed_and_climbs(told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{NAME}.py").write_text(OWN)
    monkeypatch.setattr(nas.strategies, "__path__", [*nas.strategies.__path__, str(Path.cwd())])
    (listed,) = [one for one in verbs.strategies(verbs.StrategiesConfig())["strategies"] if one["name"] == NAME]
    assert (listed["objectives"], listed["searches"]) == ("one", "any space")
    options = verbs.strategies(verbs.StrategiesConfig(NAME))["options"]
    assert options[0] == {"option": "batch", "default": "10", "meaning": "networks proposed at a time (at least 1)"}
    strategy, table = nas.strategies.load(NAME), told["table"]
    search = Search(table, strategy, [Objective("accuracy")], table.region, budget=60, seed=0)
    assert search.run(progress=False).metrics["accuracy"].max() == table.results["accuracy"].max()


@pytest.mark.slow
def test_networks_grow(told: dict[str, Any]) -> None:
    for code in (GROWN, LEMONADE):
        for said, short in (("budget=6", "budget=3"), ("scratch_epochs=3", "scratch_epochs=1")):
            code = code.replace(said, short)
        exec(compile(code, PAGE.name, "exec"), told)
        assert len(told["history"].population) == 3
