"""A table predicts what its measurements say, says how far to trust it, and is refused where it does not belong."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import search_spaces
from latency_predictors.analytic.counts import count
from latency_predictors.cost_model import BlockCost, margin_of
from latency_predictors.device import Device, Measurement
from latency_predictors.fingerprint import fingerprint
from latency_predictors.table.latency_table import LatencyTable, MeasuredNetwork
from search_spaces import Block, InputError, SearchSpace


def measurement(latency_ms: float) -> Measurement:
    return Measurement(latency_ms, latency_ms * 1.1, latency_ms * 0.9, 0.1, 50, True, True)


def block_ms(block: Block) -> float:
    return 0.01 + count(block).macs * 1e-7


def synthetic_table(space: SearchSpace, *, noise: float = 0.0, n_held_out: int = 40, seed: int = 0) -> LatencyTable:
    """Return a table of blocks that take `block_ms`, and of networks that take 0.8 of their sum and 0.05 ms more."""
    rng = np.random.default_rng(seed)
    networks = []
    for architecture in [space.smallest(), space.largest(), *space.decode(space.sample(8 + n_held_out, rng))]:
        latency_ms = 0.8 * sum(map(block_ms, space.plan(architecture).values())) + 0.05
        first, again = latency_ms * np.exp(rng.normal(scale=noise, size=2))
        networks.append(MeasuredNetwork(architecture, float(first), float(again)))
    blocks = {repr(block): measurement(block_ms(block)) for block in space.index.blocks}
    return LatencyTable(space, Device(), fingerprint(), blocks, networks[:10], networks[10:])


@pytest.fixture(scope="module")
def noisy(small: SearchSpace) -> LatencyTable:
    return synthetic_table(small, noise=0.05)


def test_networks_that_follow_the_formula_are_predicted(small: SearchSpace) -> None:
    table = synthetic_table(small)
    errors, model = table.errors(), table.cost_model()
    assert (errors.mean_absolute, errors.noise, errors.margin) == pytest.approx((0, 0, 0), abs=1e-9)
    assert (errors.spearman, errors.noise_spearman) == pytest.approx((1, 1))
    assert (model.metric, model.margin) == ("latency_ms", errors.margin)
    population = small.sample(20, np.random.default_rng(1))
    expected = [0.8 * sum(map(block_ms, small.plan(a).values())) + 0.05 for a in small.decode(population)]
    np.testing.assert_allclose(model.predict(population), expected)


@settings(max_examples=5)
@given(seed=st.integers(0, 1000), noise=st.floats(0.01, 0.1))
def test_the_margin_is_that_of_the_slower_pass_of_held_out_networks(
    small: SearchSpace, seed: int, noise: float
) -> None:
    table = synthetic_table(small, noise=noise, seed=seed)
    model, networks = table.cost_model(), table.held_out_networks
    assert model.margin == table.errors().margin
    assert model.margin == pytest.approx(margin_of(*slower_and_predicted(model, networks)))
    assert within_margin(model, networks) >= 0.95


def test_the_margin_covers_95_percent_of_fresh_networks(small: SearchSpace) -> None:
    table = synthetic_table(small, noise=0.05, n_held_out=600)
    tested, fresh = table.held_out_networks[:300], table.held_out_networks[300:]
    model = replace(table, held_out_networks=tested).cost_model()
    assert within_margin(model, fresh) == pytest.approx(0.95, abs=0.03)


def slower_and_predicted(
    model: BlockCost, networks: Sequence[MeasuredNetwork]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n,): the slower pass of each network; and (n,): what is predicted."""
    measured = [max(network.latency_ms, network.repeated_ms) for network in networks]
    return np.array(measured), model.predict(model.space.encode([network.architecture for network in networks]))


def within_margin(model: BlockCost, networks: Sequence[MeasuredNetwork]) -> float:
    """Return the share of networks whose slower pass exceeds the prediction by the margin at most."""
    measured, predicted = slower_and_predicted(model, networks)
    return float(np.mean(measured <= predicted * (1 + model.margin) + 1e-9))


def test_a_saved_table_is_read_as_it_was(noisy: LatencyTable, small: SearchSpace, tmp_path: Path) -> None:
    noisy.save(tmp_path / "table.json")
    again = LatencyTable.load(tmp_path / "table.json")
    assert again == noisy
    assert again.errors() == noisy.errors()
    population = small.sample(100, np.random.default_rng(0))
    assert np.array_equal(again.cost_model().predict(population), noisy.cost_model().predict(population))


def test_what_people_read_in_the_file_is_what_holds(noisy: LatencyTable, tmp_path: Path) -> None:
    noisy.save(tmp_path / "table.json")
    document = json.loads((tmp_path / "table.json").read_text())
    assert (document["unit"], document["statistic"]) == ("ms", "q10")
    assert document["errors"] == vars(noisy.errors())
    calibration = document["calibration"]
    assert calibration["form"] in calibration["errors"]
    assert all(error > 0 for error in calibration["errors"].values())


def test_a_table_written_before_forms_were_chosen_is_read(noisy: LatencyTable, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    noisy.save(path)
    document = json.loads(path.read_text())
    document["calibration"] = {"latency": 0.8, "block": 0.0, "traffic": 0.0, "weights": 0.0, "constant": 0.05}
    path.write_text(json.dumps(document))
    assert LatencyTable.load(path) == noisy


def test_a_table_without_ranks_is_saved(toy: Callable[..., Any], tmp_path: Path) -> None:
    """Networks that all take equally long have no rank correlation, which JSON could not say."""
    table = synthetic_table(toy(widths=(8,), depths=(2,)))
    table.save(tmp_path / "table.json")
    errors = LatencyTable.load(tmp_path / "table.json").errors()
    assert (errors.spearman, errors.noise_spearman) == (0, 0)


def test_a_space_whose_blocks_were_measured_is_predicted(toy: Callable[..., Any]) -> None:
    whole, part = toy(), toy(widths=(8, 64), depths=(1, 3))
    table = synthetic_table(whole)
    architectures = part.decode(part.sample(10, np.random.default_rng(0)))
    expected = table.cost_model().predict(whole.encode(architectures))
    np.testing.assert_allclose(table.cost_model(part).predict(part.encode(architectures)), expected)


def test_a_space_with_a_block_that_was_not_measured_is_refused(noisy: LatencyTable) -> None:
    other = search_spaces.load("mobilenet_v3_32", resolutions=(16, 24), width=0.25)
    missing = next(block for block in other.index.blocks if repr(block) not in noisy.blocks)
    with pytest.raises(InputError) as error:
        noisy.cost_model(other)
    assert repr(missing) in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_table_of_another_machine_is_not_at_hand(noisy: LatencyTable) -> None:
    noisy.require_at_hand()
    foreign = LatencyTable(**{**vars(noisy), "fingerprint": {**noisy.fingerprint, "cpu": "an abacus"}})
    with pytest.raises(InputError, match=r"latency model measured on another machine.*an abacus") as error:
        foreign.require_at_hand()
    assert len(str(error.value).splitlines()) == 1
    LatencyTable(**{**vars(noisy), "fingerprint": {**noisy.fingerprint, "os": "another"}}).require_at_hand()


@pytest.mark.parametrize(
    "content", ["", "no table", "[]", "{}", '{"schema": "latency-table/0"}', '{"schema": "latency-table/1"}', "\xff"]
)
def test_other_files_are_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    with pytest.raises(InputError, match=r"table\.json does not exist"):
        LatencyTable.load(path)
    path.write_text(content, encoding="latin1")
    with pytest.raises(InputError, match=r"table\.json") as error:
        LatencyTable.load(path)
    assert len(str(error.value).splitlines()) == 1


DAMAGES = (None, float("nan"), "", "x", -1, 2.5, [], {}, {"x": {}})


def test_a_table_damaged_anywhere_is_read_or_refused_in_one_line(toy: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    space = toy(widths=(8, 16))
    table = synthetic_table(space, n_held_out=2)
    replace(table, calibration_networks=table.calibration_networks[:5]).save(path)
    population = space.sample(5, np.random.default_rng(0))
    content = path.read_text()
    refusals = []
    for name, stated in (("unit", "us"), ("statistic", "median")):
        path.write_text(json.dumps({**json.loads(content), name: stated}))
        with pytest.raises(InputError, match=f"{name} '{stated}', expected"):
            LatencyTable.load(path)
    for place in places(json.loads(content)):
        for damage in DAMAGES:
            document = json.loads(content)
            owner = document
            for key in place[:-1]:
                owner = owner[key]
            owner[place[-1]] = damage
            path.write_text(json.dumps(document))
            try:
                table = LatencyTable.load(path)
                if place[0] in ("device", "fingerprint"):
                    table.require_at_hand()
                elif table.space == space:  # the toy takes options that other spaces refuse
                    model = table.cost_model()
                    predicted = model.predict(population)
                    assert np.all(np.isfinite(predicted) & (predicted > 0)), (place, damage)
                    assert np.isfinite(model.margin), (place, damage)
            except InputError as error:
                refusals.append(str(error))
    assert len(refusals) > 200
    assert all(len(refusal.splitlines()) == 1 for refusal in refusals)


def places(document: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every entry of a JSON document, but of long lists and tables those of the first alone."""
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    for key in keys if len(keys) < 20 else keys[:1]:
        yield (key,)
        if isinstance(document[key], dict | list):
            yield from ((key, *rest) for rest in places(document[key]))
