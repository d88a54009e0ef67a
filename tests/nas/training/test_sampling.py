"""The architectures that a training step trains."""

import numpy as np
import pytest

from nas.training.sampling import SAMPLINGS, sandwich, uniform
from search_spaces import SearchSpace


def test_a_sandwich_is_the_largest_the_smallest_and_two_others(tiny: SearchSpace) -> None:
    draws = [sandwich(tiny, np.random.default_rng(seed)) for seed in range(20)]
    for draw in draws:
        assert draw.distil
        assert draw.architectures[:2] == (tiny.largest(), tiny.smallest())
        assert len(draw.architectures) == 4
    assert len({architecture for draw in draws for architecture in draw.architectures[2:]}) == 40


def test_a_uniform_draw_takes_each_option_equally_often(tiny: SearchSpace) -> None:
    draws = [uniform(tiny, np.random.default_rng(seed)) for seed in range(2000)]
    assert not any(draw.distil for draw in draws)
    population = tiny.encode([architecture for draw in draws for architecture in draw.architectures])
    assert len(population) == len(draws)
    for column, n_options in zip(population.T, tiny.n_options, strict=True):
        shares = np.bincount(column, minlength=n_options) / len(population)
        assert shares == pytest.approx(np.full(n_options, 1 / n_options), abs=0.05)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_equal_seeds_give_equal_draws(name: str, tiny: SearchSpace) -> None:
    draws = [SAMPLINGS[name](tiny, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
