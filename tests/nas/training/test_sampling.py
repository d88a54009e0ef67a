"""The architectures that a training step trains."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nas.training.sampling import SAMPLINGS, Draw, Losses, Moment, load_sampling
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population


def summed(population: Population, n_examples: int | None) -> NDArray[np.float64]:
    """Return losses that are the lower the smaller the options."""
    return population.sum(axis=1).astype(float)


def draw(name: str, space: SearchSpace, seed: int, losses: Losses = summed, **options: Any) -> Draw:
    return load_sampling(name, options).draw(Moment(space, np.random.default_rng(seed), 0.0, losses, {}))


def greedy_steps(space: SearchSpace, n_steps: int, losses: Losses = summed, **options: Any) -> list[Draw]:
    """Return the draws of a training of so many steps."""
    sampling, draws = load_sampling("greedy", options), [Draw((), distil=False)]
    for step in range(n_steps):
        rng = np.random.default_rng([0, step])
        draws.append(sampling.draw(Moment(space, rng, step / n_steps, losses, draws[-1].memory)))
    return draws[1:]


def test_a_sandwich_is_the_largest_the_smallest_and_two_others(tiny: SearchSpace) -> None:
    draws = [draw("sandwich", tiny, seed) for seed in range(20)]
    for drawn in draws:
        assert drawn.distil
        assert drawn.architectures[:2] == (tiny.largest(), tiny.smallest())
        assert len(drawn.architectures) == 4
    assert len({architecture for drawn in draws for architecture in drawn.architectures[2:]}) == 40


def test_a_uniform_draw_takes_each_option_equally_often(tiny: SearchSpace) -> None:
    draws = [draw("uniform", tiny, seed) for seed in range(2000)]
    assert not any(drawn.distil for drawn in draws)
    population = tiny.encode([architecture for drawn in draws for architecture in drawn.architectures])
    assert len(population) == len(draws)
    for column, n_options in zip(population.T, tiny.n_options, strict=True):
        shares = np.bincount(column, minlength=n_options) / len(population)
        assert shares == pytest.approx(np.full(n_options, 1 / n_options), abs=0.05)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_equal_seeds_give_equal_draws(name: str, tiny: SearchSpace) -> None:
    draws = [draw(name, tiny, seed) for seed in (0, 0, 1)]
    assert draws[0].architectures == draws[1].architectures != draws[2].architectures


@given(paths=st.integers(1, 12), share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_a_greedy_draw_is_the_best_of_those_tried(paths: int, share: float, seed: int, tiny: SearchSpace) -> None:
    kept, tried = max(1, round(share * paths)), []

    def losses(population: Population, n_examples: int | None) -> NDArray[np.float64]:
        tried.append(population)
        assert n_examples == 7
        return summed(population, n_examples)

    drawn = draw("greedy", tiny, seed, losses, paths=paths, kept=kept, examples=7)
    (population,) = tried
    assert np.array_equal(tiny.canonical(population), population)
    assert len(np.unique(population, axis=0)) == len(population) <= paths
    trained = summed(tiny.encode(drawn.architectures), None)
    assert trained.tolist() == np.sort(summed(population, None))[:kept].tolist()
    assert not drawn.distil


def test_the_pool_holds_the_best_of_all_that_were_tried(tiny: SearchSpace) -> None:
    seen: dict[bytes, float] = {}

    def losses(population: Population, n_examples: int | None) -> NDArray[np.float64]:
        """Return losses that fall from step to step, as in training: the last one of a network counts."""
        found = summed(population, None) - len(seen) / 100
        seen.update(zip((row.tobytes() for row in population), found.tolist(), strict=True))
        return found

    *_, last = greedy_steps(tiny, 40, losses, paths=4, kept=2, pool=15)
    expected = sorted(seen.items(), key=lambda entry: entry[1])[:15]
    rows, found = last.memory["rows"].numpy(), last.memory["losses"].numpy()
    assert found.tolist() == [loss for _, loss in expected]
    assert {row.tobytes() for row in rows} == {row for row, _ in expected}


def test_networks_are_drawn_from_the_pool_more_and_more_often(tiny: SearchSpace) -> None:
    """As far as they are: random networks of this space are never tried twice."""
    tried: list[Population] = []

    def losses(population: Population, n_examples: int | None) -> NDArray[np.float64]:
        tried.append(population)
        return summed(population, None)

    greedy_steps(tiny, 100, losses, exploration=0.4, exploitation=0.6, pool=500)
    known: set[bytes] = set()
    again = []
    for population in tried:
        rows = {row.tobytes() for row in population}
        again.append(len(rows & known) / 10)
        known |= rows
    assert not any(again[:40])
    thirds = [float(np.mean(again[start : start + 20])) for start in (40, 60, 80)]
    assert thirds == pytest.approx([0.1, 0.3, 0.5], abs=0.09)


def test_networks_that_fail_are_not_remembered(tiny: SearchSpace) -> None:
    draws = greedy_steps(tiny, 3, lambda population, _: np.full(len(population), np.nan))
    assert all(len(drawn.architectures) == 5 for drawn in draws)
    assert draws[-1].memory["rows"].shape == (0, len(tiny.choices))


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("greed", {}, "unknown sampling 'greed': did you mean greedy"),
        ("greedy", {"path": 3}, "unknown option of sampling greedy 'path': did you mean paths"),
        ("greedy", {"paths": 3, "kept": 4}, "keep at most as many as are tried"),
        ("greedy", {"paths": 0}, "sampling greedy: paths 0: input should be greater than or equal to 1"),
        ("sandwich", {"paths": 3}, "sampling sandwich has no options: leave paths out"),
    ],
)
def test_options_that_do_nothing_are_refused(name: str, options: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what) as error:
        load_sampling(name, options)
    assert len(str(error.value).splitlines()) == 1
