"""Accelerators and networks as one space: the accelerator's parameters are further choices.

What co-design searches (NAAS; Lin et al., DAC 2021): with the costs of this module as constraints and objectives, every
strategy that searches networks does it.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latency_predictors.analytic.accelerator import Accelerator, Technology
from latency_predictors.cost_model import CostModel
from search_spaces import Architecture, Block, Choice, SearchSpace, TensorSpec, elimination
from search_spaces.errors import InputError
from search_spaces.plan_index import Population

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class CodesignSpace(SearchSpace):
    """The networks of a space, each on each of some accelerators.

    Attributes:
        network: the space of the networks, whose choices come first.
        array_rows, array_columns, buffer_kib, bandwidth_gb: options of the accelerator; see `Accelerator`.
        technology: what it is built of.

    Raises:
        InputError: a parameter has no option, one twice, or one that is no positive number.
    """

    name: ClassVar[str] = "codesign"

    network: SearchSpace
    array_rows: tuple[int, ...] = (8, 16, 32, 64)
    array_columns: tuple[int, ...] = (8, 16, 32, 64)
    buffer_kib: tuple[int, ...] = (32, 64, 128, 256, 512)
    bandwidth_gb: tuple[int, ...] = (1, 2, 4, 8, 16)
    technology: Technology = dataclasses.field(default_factory=Technology)

    def __post_init__(self) -> None:
        for choice in self._parameters:
            if not choice.options or not all(isinstance(x, int | float) and 0 < x < np.inf for x in choice.options):
                raise InputError(f"{choice.name} {choice.options}: expected one positive number or more")

    @cached_property
    def _parameters(self) -> tuple[Choice, ...]:
        names = ("array_rows", "array_columns", "buffer_kib", "bandwidth_gb")
        return tuple(Choice(name, getattr(self, name)) for name in names)

    @property
    def choices(self) -> tuple[Choice, ...]:
        return (*self.network.choices, *self._parameters)

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        return self.network.blocks(options)

    def assemble(self, modules: Mapping[str, nn.Module]) -> nn.Module:
        return self.network.assemble(modules)

    def inputs(self, architecture: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
        return self.network.inputs(architecture)

    def example(
        self, architecture: Mapping[str, Any], batch_size: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        return self.network.example(architecture, batch_size, generator)

    def prepare(self, batch: Any, architecture: Mapping[str, Any]) -> tuple[Tensor, ...]:
        return self.network.prepare(batch, architecture)

    def canonical(self, population: Population) -> Population:
        """Return the networks in canonical form: accelerators that differ are never equal."""
        network, accelerator = self.split(population)
        return np.hstack([self.network.canonical(network), accelerator])

    @property
    def is_chain(self) -> bool:
        """Whether the networks are their blocks one after another: they are assembled as their own space does it."""
        return self.network.is_chain

    def active(self, population: Population) -> Population:
        """Return what matters to the networks' function, and so the first of the accelerators, which do not."""
        network, accelerator = self.split(population)
        return np.hstack([self.network.active(network), np.zeros_like(accelerator)])

    def features(self, population: Population) -> Floats:
        """Return what the networks are made of, whatever they run on."""
        return self.network.features(self.split(population)[0])

    def sequences(self, population: Population) -> Floats:
        """Return the sequences of layers in the networks."""
        return self.network.sequences(self.split(population)[0])

    @cached_property
    def size(self) -> int:
        """The exact number of distinct networks, times that of accelerators."""
        return self.network.size * int(np.prod(self.n_accelerator_options))

    def smallest(self) -> Architecture:
        """Return the smallest network on the first of the accelerators."""
        first = {choice.name: choice.options[0] for choice in self._parameters}
        return Architecture({**self.network.smallest(), **first})

    def split(self, population: Population) -> tuple[Population, Population]:
        """Return the networks (N, choices of the network) and the accelerators (N, 4) of a population."""
        n_choices = len(self.network.choices)
        return population[:, :n_choices], population[:, n_choices:]

    @property
    def n_accelerator_options(self) -> tuple[int, ...]:
        """The number of options of each of the accelerator's parameters."""
        return tuple(len(choice.options) for choice in self._parameters)

    @cached_property
    def accelerators(self) -> Accelerator:
        """All accelerators at once, (C,); `accelerator_numbers` tells which is which."""
        grid = np.meshgrid(*(choice.options for choice in self._parameters), indexing="ij")
        rows, columns, buffer_kib, bandwidth_gb = (np.asarray(axis, np.float64).reshape(-1) for axis in grid)
        return Accelerator(rows, columns, buffer_kib, bandwidth_gb, self.technology)

    def accelerator_numbers(self, population: Population) -> NDArray[np.int64]:
        """Return (N,): the places of a population's accelerators among all."""
        _, accelerator = self.split(population)
        numbers = np.ravel_multi_index(tuple(accelerator.T.astype(np.int64)), self.n_accelerator_options)
        return np.asarray(numbers, np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return the options as plain values."""
        parameters = {choice.name: choice.options for choice in self._parameters}
        return {
            "name": self.name,
            "network": self.network.to_json(),
            **parameters,
            "technology": dataclasses.asdict(self.technology),
        }


class CodesignCost(CostModel):
    """A cost that is one value per accelerator, and one per block on that accelerator, added up.

    Args:
        space: the space.
        metric: what the values mean, with their unit.
        values: (accelerators, blocks of the network's index).
        constants: (accelerators,).
    """

    def __init__(self, space: CodesignSpace, metric: str, values: Floats, constants: Floats) -> None:
        self.space, self.metric = space, metric
        self._values = np.hstack([values, np.zeros((len(values), 1))])  # number -1, an absent block, reads the last
        self._constants = constants

    def predict(self, population: Population) -> Floats:
        network, _ = self.space.split(population)
        numbers = self.space.accelerator_numbers(population)
        blocks = self.space.network.index.block_ids(network)
        return np.asarray(self._values[numbers[:, None], blocks].sum(axis=1) + self._constants[numbers])

    def cheapest(self) -> tuple[float, Architecture]:
        return self._extreme(1.0)

    def dearest(self) -> tuple[float, Architecture]:
        return self._extreme(-1.0)

    def _extreme(self, sign: float) -> tuple[float, Architecture]:
        """Return the lowest `sign` times the cost, exactly: the best network of each accelerator that may be best."""
        space, network = self.space, self.space.network
        rows = []
        for number in _undominated(sign * np.column_stack([self._values, self._constants])):
            _, options = elimination.minimise(network.index.factors(sign * self._values[number, :-1]), np.add)
            parameters = np.unravel_index(number, space.n_accelerator_options)
            rows.append([*(options.get(choice, 0) for choice in range(len(network.choices))), *parameters])
        found = space.canonical(np.array(rows, np.int64))
        costs = self.predict(found)
        best = int((sign * costs).argmin())
        return float(costs[best]), space.decode(found[best : best + 1])[0]


def _undominated(costs: Floats) -> Sequence[int]:
    """Return the rows (n, d) that no other is below or equal to throughout; of equal rows the first."""
    kept: list[int] = []
    for number in np.argsort(costs.sum(axis=1), kind="stable"):
        if not any(np.all(costs[other] <= costs[number]) for other in kept):
            kept.append(int(number))
    return kept


def codesign_costs(space: CodesignSpace) -> dict[str, CodesignCost]:
    """Return `latency_ms`, `energy_mj`, `area_mm2` and `peak_watts`, all exact by the model and with exact extremes."""
    accelerators, blocks = space.accelerators, space.network.index.blocks
    n_accelerators = len(accelerators.array_rows)
    nothing, free = np.zeros((n_accelerators, len(blocks))), np.zeros(n_accelerators)
    latency = np.column_stack([accelerators.latency_ms(block) for block in blocks])
    energy = np.column_stack([accelerators.energy_mj(block) for block in blocks])
    return {
        "latency_ms": CodesignCost(space, "latency_ms", latency, free),
        "energy_mj": CodesignCost(space, "energy_mj", energy, free),
        "area_mm2": CodesignCost(space, "area_mm2", nothing, accelerators.area_mm2()),
        "peak_watts": CodesignCost(space, "peak_watts", nothing, accelerators.peak_watts()),
    }
