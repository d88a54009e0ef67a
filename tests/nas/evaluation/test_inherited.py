"""Networks go on from what others have learned, to the same end whether the search was killed or not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import nas.evaluation.inherited as inherited_module
import search_spaces
from nas import strategies
from nas.data import Augmentation, Dataset
from nas.evaluation.inherited import JOURNAL, InheritanceOptions, Inherited
from nas.morphism import possible
from nas.objectives import FeasibleRegion, Objective
from nas.search import Search
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population

OPTIONS = InheritanceOptions(epochs=1, scratch_epochs=2, batch_size=32, device="cpu", augmentation=Augmentation(crop=0))


@pytest.fixture
def lineage(tiny: SearchSpace) -> Population:
    """The smallest network, two that grow out of it, one that grows out of the second, and one of another size."""
    rows = np.repeat(tiny.encode([tiny.smallest()]), 5, axis=0)
    names = [choice.name for choice in tiny.choices]
    rows[1, names.index("depth_1")] = 1
    rows[2, names.index("expand_2_1")] = 2
    rows[3, names.index("expand_2_1")] = 2
    rows[3, names.index("kernel_3_1")] = 1
    rows[4, names.index("resolution")] = 1
    return rows


def records(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / JOURNAL).read_text().splitlines()[1:]]


def test_weights_come_from_the_nearest_network_that_a_morphism_leads_from(
    tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path
) -> None:
    evaluator = Inherited(tiny, data, tmp_path, OPTIONS)
    metrics = evaluator.evaluate(lineage)
    assert all(np.isfinite(metrics[name]).all() for name in data.metrics)
    parents = [record["ancestor"] for record in records(tmp_path)]
    rows = lineage.tolist()
    assert parents == [None, rows[0], rows[0], rows[2], None]


def test_what_is_approximate_inherits_from_the_nearest_of_all(
    tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path
) -> None:
    options = InheritanceOptions(**{**vars(OPTIONS), "approximate": True})
    Inherited(tiny, data, tmp_path, options).evaluate(lineage[[3, 0, 4]])
    rows = lineage.tolist()
    assert [record["ancestor"] for record in records(tmp_path)] == [None, rows[3], rows[0]]


def test_a_child_begins_where_its_parent_ended(
    tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a step of training, it scores the same, statistics estimated anew for both."""
    monkeypatch.setattr(inherited_module, "finetune", lambda *_, **__: None)
    metrics = Inherited(tiny, data, tmp_path, OPTIONS).evaluate(lineage[[0, 1, 2, 3]])
    assert metrics["cross_entropy"] == pytest.approx(metrics["cross_entropy"][0], rel=1e-4)


def test_networks_that_inherit_are_trained_less(
    tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = []
    real = inherited_module.finetune

    def recording(network, data, prepare, options, **others):  # type: ignore[no-untyped-def]
        epochs.append(options.epochs)
        real(network, data, prepare, options, **others)

    monkeypatch.setattr(inherited_module, "finetune", recording)
    evaluator = Inherited(tiny, data, tmp_path, OPTIONS)
    evaluator.evaluate(lineage)
    assert epochs == [2, 1, 1, 1, 2]
    evaluator.evaluate(lineage)
    assert len(epochs) == 5, "what is known is not trained again"


def test_the_trained_network_is_kept(tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path) -> None:
    Inherited(tiny, data, tmp_path, OPTIONS).evaluate(lineage[:2])
    again = Inherited(tiny, data, tmp_path, OPTIONS)
    first, _, other = tiny.decode(lineage[:3])
    network = again.network(first)
    assert not network.training
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in tiny.build(first).parameters())
    with pytest.raises(InputError, match="holds no weights of Architecture"):
        again.network(other)


def search(space: SearchSpace, data: Dataset, directory: Path, budget: int) -> bytes:
    """Return the journal of a search of so many networks by LEMONADE, continued if it was begun."""
    evaluator = Inherited(space, data, directory / "networks", OPTIONS)
    strategy = strategies.load("lemonade", initial=3, batch=2)
    journal = directory / "search.jsonl"
    region = FeasibleRegion(space)
    Search(evaluator, strategy, [Objective("accuracy")], region, budget=budget, seed=0, journal=journal).run(
        progress=False
    )
    return journal.read_bytes()


def test_a_killed_search_goes_on_to_the_same_end(
    tiny: SearchSpace, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is killed: after a training, after its scores, or between its weights and their record."""
    expected = search(tiny, data, tmp_path / "whole", 7)
    end = (tmp_path / "whole" / "networks" / JOURNAL).read_bytes()
    for function in ("finetune", "score", "write_atomic"):
        directory = tmp_path / function
        real, calls = getattr(inherited_module, function), []

        def dying(*arguments, real=real, calls=calls, **named):  # type: ignore[no-untyped-def]
            calls.append(real(*arguments, **named))
            if len(calls) == 5:
                raise KeyboardInterrupt
            return calls[-1]

        with monkeypatch.context() as patch:
            patch.setattr(inherited_module, function, dying)
            with pytest.raises(KeyboardInterrupt):
                search(tiny, data, directory, 7)
        assert search(tiny, data, directory, 7) == expected
        assert (directory / "networks" / JOURNAL).read_bytes() == end


def test_results_do_not_depend_on_what_else_draws_random_numbers(
    tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path
) -> None:
    one = Inherited(tiny, data, tmp_path / "one", OPTIONS).evaluate(lineage[:3])
    torch.manual_seed(99)
    state = torch.get_rng_state()
    evaluator = Inherited(tiny, data, tmp_path / "other", OPTIONS)
    other = np.concatenate([evaluator.evaluate(lineage[[i]])["cross_entropy"] for i in range(3)])
    assert np.array_equal(one["cross_entropy"], other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_training_that_diverges_is_a_failed_evaluation_and_no_ancestor(
    tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(*_: object, **__: object) -> None:
        raise InputError("training diverged")

    with monkeypatch.context() as patch:
        patch.setattr(inherited_module, "finetune", diverging)
        metrics = Inherited(tiny, data, tmp_path, OPTIONS).evaluate(lineage[:1])
    assert np.isnan(metrics["accuracy"]).all()
    again = Inherited(tiny, data, tmp_path, OPTIONS)
    assert np.isnan(again.evaluate(lineage[:1])["accuracy"]).all()
    again.evaluate(lineage[1:2])
    assert records(tmp_path)[-1]["ancestor"] is None
    with pytest.raises(InputError, match="holds no weights"):
        again.network(tiny.decode(lineage)[0])


@pytest.mark.parametrize("name", ["eas", "lemonade"])
def test_a_search_may_start_from_a_trained_network(
    name: str, tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path
) -> None:
    """It is scored as it is, told first, and what the strategy proposes grows out of it."""
    (architecture,) = tiny.decode(lineage[2:3])
    torch.manual_seed(5)
    trained = tiny.build(architecture)
    evaluator = Inherited(tiny, data, tmp_path, OPTIONS, first=(architecture, trained))
    found = evaluator.network(architecture).state_dict()
    assert all(torch.equal(tensor, found[path]) for path, tensor in trained.state_dict().items())
    strategy = strategies.load(name, batch=1, steps=1)
    region, start = FeasibleRegion(tiny), tiny.encode([architecture])
    Search(evaluator, strategy, [Objective("accuracy")], region, budget=2, seed=0, first=start).run(progress=False)
    begun, grown = records(tmp_path)
    assert begun["row"] == start[0].tolist()
    proposed = np.array([grown["row"]])
    if name == "eas":
        assert possible(tiny, np.concatenate([start, tiny.encode([tiny.smallest()])]), proposed.repeat(2, 0)).any()
    else:
        assert (tiny.canonical(tiny.neighbours(start[0])) == proposed).all(axis=1).any()
    again = Inherited(tiny, data, tmp_path, OPTIONS, first=(architecture, trained))
    assert again.evaluate(start)["accuracy"] == begun["accuracy"]
    with pytest.raises(InputError, match=r"made with first\.architecture = "):
        Inherited(tiny, data, tmp_path, OPTIONS)


def test_a_first_network_of_another_architecture_is_refused(
    tiny: SearchSpace, data: Dataset, lineage: Population, tmp_path: Path
) -> None:
    smallest, other = tiny.decode(lineage[[0, 2]])
    with pytest.raises(InputError, match=f"the first network is none of {other.id} in mobilenet_v3_32: ") as error:
        Inherited(tiny, data, tmp_path / "new", OPTIONS, first=(other, tiny.build(smallest)))
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("change", ["options", "data", "space"])
def test_networks_of_something_else_are_refused(
    change: str, tiny: SearchSpace, data: Dataset, other_data: Dataset, tmp_path: Path
) -> None:
    Inherited(tiny, data, tmp_path, OPTIONS)
    options = InheritanceOptions(**{**vars(OPTIONS), "seed": 1 if change == "options" else 0})
    space = search_spaces.load("mobilenet_v3_32", n_classes=4) if change == "space" else tiny
    with pytest.raises(InputError, match="use the same, or another output directory"):
        Inherited(space, other_data if change == "data" else data, tmp_path, options)
