"""What a found network is compared with."""

import numpy as np

import search_spaces
from experiments.baselines import _uniformly_scaled
from latency_predictors.analytic.counts import count_models


def test_the_uniformly_scaled_network_is_the_nearest_with_the_same_share_of_every_choice() -> None:
    space = search_spaces.load("mobilenet_v3_32", resolutions=(16, 24, 32))
    macs = count_models(space)["macs"]
    for share in (0.0, 0.5, 1.0):
        population = np.round(share * (space.n_options - 1)).astype(int)[None]
        (scaled,) = space.decode(space.canonical(population))
        assert _uniformly_scaled(space, macs, scaled) == scaled
    (drawn,) = space.decode(space.canonical(space.sample(1, np.random.default_rng(0))))
    found = _uniformly_scaled(space, macs, drawn)
    costs = {a: float(macs.predict(space.encode([a]))[0]) for a in (found, drawn, space.smallest(), space.largest())}
    others = (space.smallest(), space.largest())
    assert all(abs(costs[found] - costs[drawn]) <= abs(costs[other] - costs[drawn]) for other in others)
