"""A space's networks as rows of numbers in which latencies are nearly linear: descriptors of plans, and blocks."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from latency_predictors.learned.descriptors import NAMES, Descriptors, describe_block
from search_spaces import InputError, SearchSpace
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]

_REFERENCE = 1000
"""Random networks by whose mean descriptors are scaled, so that a coefficient is a share of a latency."""

_LENGTHS = (0.5, 4.0)
"""Over what differences of logarithms departures vary: some from block to block, some with the kind of block."""

_LARGEST = 200


class Features:
    """Descriptors that vary, relative to their means; and how blocks depart from what their descriptors add up to.

    Departures are smooth in the logarithms of a block's descriptors: similar blocks are similarly slow (a Gaussian
    process over blocks, summed over plans), and as large as the block is. So the measured say something of blocks that
    no measured network has.

    Attributes:
        space: the space.
        forms: the names of the forms in which a runtime may run networks.
        n_descriptors: the first features are descriptors, a constant the first of them; the others are of blocks.
        n: all features.
        arrays: what they are computed with, which is kept with what was fitted to them: on another machine, or with
            another release of a library, other departures would be found.

    Args:
        space: the space.
        arrays: those of features as they were; None: found anew.

    Raises:
        InputError: blocks are described otherwise than they were.
        ValueError: the arrays hold numbers that are not finite.
    """

    def __init__(self, space: SearchSpace, arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
        self.space = space
        self._descriptors = Descriptors(space)
        self.forms = self._descriptors.forms
        described = np.stack([describe_block(block) for block in space.independent.index.blocks])
        if arrays is None:
            found = self._descriptors(self.reference)
            varying = np.ptp(found, axis=0) > 0
            varying[0] = True
            means = found[:, varying].mean(axis=0)
            departures = _departures(described, varying, means)
            arrays = {"described": described, "varying": varying, "means": means, "departures": departures}
        elif not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("some of the features' numbers are not finite")
        elif not np.array_equal(arrays["described"], described):
            raise InputError("the blocks of the space were described otherwise when the model was fitted: fit it again")
        self.arrays = dict(arrays)
        self._varying, self._means = arrays["varying"], arrays["means"]
        self.n_descriptors = int(self._varying.sum())
        index = space.independent.index
        self._departures = [index.summed(column) for column in arrays["departures"].T]
        self.n = self.n_descriptors + len(self._departures)

    @cached_property
    def reference(self) -> Population:
        """Random networks, the same for equal spaces."""
        return self.space.sample(_REFERENCE, np.random.default_rng(0))

    def __call__(self, population: Population, form: str) -> Floats:
        """Return (N, features) of a population (N, choices) in a form."""
        described = self._descriptors(population, form)[:, self._varying] / self._means
        rows = self.space.forms(population)[form]
        departures = [departure(rows) for departure in self._departures]
        return np.column_stack([described / np.sqrt(self.n_descriptors), *departures])

    def bounds(self) -> dict[str, Floats]:
        """Return the coefficients (features,) of devices that are bound by launches, by computing, or by memory alone.

        Each latency is the number of kernels, of multiply-adds, or of bytes, of all families alike; or of multiply-adds
        but for depthwise ones, which arrays of multipliers do beside others.
        """
        names = np.array(NAMES)[self._varying]
        computing = np.char.endswith(names, " multiply-adds")
        depthwise = np.char.startswith(names, "depthwise")
        bounds = {"launches": np.char.endswith(names, " kernels"), "computing": computing}
        if (computing & depthwise).any():
            bounds["dense computing"] = computing & ~depthwise
        bounds["memory"] = np.char.endswith(names, " bytes")
        return {bound: self._adding_up(counts) for bound, counts in bounds.items()}

    def _adding_up(self, counts: NDArray[np.bool_]) -> Floats:
        """Return the coefficients (features,) of a latency that is the sum of some descriptors as they are."""
        coefficients = np.zeros(self.n)
        coefficients[: self.n_descriptors] = np.where(counts, self._means, 0.0) * np.sqrt(self.n_descriptors)
        return coefficients

    def variances(self, descriptors: float, departures: float) -> Floats:
        """Return (features,): one value for the descriptors, another for the departures."""
        return np.repeat([descriptors, departures], [self.n_descriptors, self.n - self.n_descriptors])


def _departures(blocks: Floats, varying: NDArray[np.bool_], means: Floats) -> Floats:
    """Return (blocks, F), whose products are the prior covariances of the departures of described blocks."""
    sizes = (blocks[:, varying] / means)[:, 2:].mean(axis=1)
    places = np.log1p(blocks[:, 1:])
    distances = ((places[:, None] - places) ** 2).sum(axis=-1)
    similar = np.mean([np.exp(-distances / (2 * length**2)) for length in _LENGTHS], axis=0)
    covariances = similar * np.outer(sizes, sizes)
    values, vectors = linalg.eigh(covariances)
    kept = np.argsort(-values)[:_LARGEST]
    kept = kept[values[kept] > 1e-9 * values.max()]
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))
