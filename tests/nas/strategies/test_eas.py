"""Networks grow by morphisms alone, from the smallest and from the best so far."""

from typing import Any

import numpy as np
import pytest

import search_spaces
from nas import strategies
from nas.morphism import possible
from nas.objectives import FeasibleRegion, Objective
from nas.strategies.eas import EAS
from search_spaces import SearchSpace
from search_spaces.plan_index import distinct

FIRST_OPTIONS = {"mobilenet_v3_32": {"resolutions": (16, 24)}, "autoformer_32": {"resolution": 16}}


def begun(space: SearchSpace, **options: Any) -> EAS:
    strategy = strategies.load("eas", **options)
    assert isinstance(strategy, EAS)
    strategy.begin(FeasibleRegion(space), [Objective("score")], seed=0)
    return strategy


@pytest.mark.parametrize("name", FIRST_OPTIONS)
def test_every_proposal_grows_out_of_the_smallest_or_of_one_of_the_best(name: str) -> None:
    space = search_spaces.load(name, **FIRST_OPTIONS[name])
    strategy = begun(space, starts=3)
    smallest = space.canonical(space.encode([space.smallest()]))
    told, scores, rng = smallest[:0], np.empty(0), np.random.default_rng(0)
    for _ in range(4):
        starts = np.concatenate([smallest, told[np.argsort(-scores, kind="stable")][:3]])
        asked = strategy.ask()
        for row in asked:
            assert possible(space, starts, np.broadcast_to(row, starts.shape)).any()
        found = rng.normal(size=len(asked))
        strategy.tell(asked, found[:, None])
        told, scores = np.concatenate([told, asked]), np.concatenate([scores, found])
        told, scores = told[first := distinct(told)], scores[first]


def test_a_space_whose_networks_do_not_grow_is_told(caplog: pytest.LogCaptureFixture) -> None:
    begun(search_spaces.load("nasbench201"))
    assert caplog.messages == ["no network of nasbench201 grows by a morphism: eas draws networks at random"]


def test_what_is_rewarded_grows_and_what_is_not_stays(tiny: SearchSpace) -> None:
    strategy = begun(tiny, starts=0)
    names = [choice.name for choice in tiny.choices]
    wanted, unwanted = names.index("kernel_1_1"), names.index("expand_1_1")
    shares = []
    for _ in range(40):
        asked = strategy.ask()
        shares.append((asked[:, wanted] > 0).mean() - (asked[:, unwanted] > 0).mean())
        strategy.tell(asked, (asked[:, [wanted]] - asked[:, [unwanted]]).astype(float))
    assert np.mean(shares[-5:]) > np.mean(shares[:5]) + 0.3
