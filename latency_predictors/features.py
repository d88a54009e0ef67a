"""A space's networks as rows of numbers in which latencies are nearly linear: descriptors of plans, and options."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from latency_predictors.descriptors import Descriptors
from search_spaces import SearchSpace
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_REFERENCE = 1000
"""Random networks by whose mean descriptors are scaled, so that a coefficient is a share of a latency."""


class Features:
    """Descriptors that vary, relative to their means, and one-hot options of the forms of a space's networks.

    Attributes:
        space: the space.
        forms: the names of the forms in which a runtime may run networks.
        n_descriptors: the first features are descriptors, a constant the first of them; the others are options.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._descriptors = Descriptors(space)
        self.forms = self._descriptors.forms
        found = self._descriptors(self.reference)
        self._varying = np.ptp(found, axis=0) > 0
        self._varying[0] = True
        self._means = found[:, self._varying].mean(axis=0)
        self.n_descriptors = int(self._varying.sum())
        self.n = self.n_descriptors + int(space.independent.n_options.sum())

    @cached_property
    def reference(self) -> Population:
        """Random networks, the same for equal spaces."""
        return self.space.sample(_REFERENCE, np.random.default_rng(0))

    def __call__(self, population: Population, form: str) -> Floats:
        """Return (N, features) of a population (N, choices) in a form; each part has rows of a length of about one."""
        described = self._descriptors(population, form)[:, self._varying] / self._means
        options = self._descriptors.options(population, form)
        return np.concatenate(
            [described / np.sqrt(self.n_descriptors), options / np.sqrt(len(self.space.choices))], axis=1
        )

    def variances(self, descriptors: float, options: float) -> Floats:
        """Return (features,): one value for the descriptors, another for the options."""
        return np.repeat([descriptors, options], [self.n_descriptors, self.n - self.n_descriptors])
