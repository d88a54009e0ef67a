"""A search space: named discrete choices, and the plan of the network that each combination of options means."""

import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_spaces.block import Block, Plan, TensorSpec
from search_spaces.covering import covering
from search_spaces.errors import InputError, unknown
from search_spaces.images import resize
from search_spaces.plan_index import PlanIndex, Population

Option = int | float | str


@dataclasses.dataclass(frozen=True)
class Choice:
    """A named decision and its options, from the smallest network to the largest where they have an order."""

    name: str
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        if len(set(self.options)) < len(self.options):
            raise InputError(f"choice {self.name!r} has an option twice, {self.options}: leave one out")


class Architecture(Mapping[str, Option]):
    """An immutable, hashable mapping from choice to option, with an id that never changes."""

    def __init__(self, options: Mapping[str, Option]) -> None:
        self._options = dict(options)

    def __getitem__(self, choice: str) -> Option:
        return self._options[choice]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __hash__(self) -> int:
        return hash(frozenset(self._options.items()))

    def __repr__(self) -> str:
        return f"Architecture({self._options})"

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of a hash of the options: the same in every run and on every machine."""
        text = json.dumps(sorted(self._options.items()), separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class SearchSpace(ABC):
    """Choices, and `blocks(options)`: everything else follows from these two.

    A subclass is a frozen dataclass; its fields are the options of the space (classes, width, resolutions).
    Populations are integer matrices (N, choices) of option numbers.
    """

    name: ClassVar[str]
    reads: ClassVar[str] = "images"
    """What one network's examples are, in the plural."""

    absent: ClassVar[Literal["identity", "zero", "addend", "unknown"]] = "identity"
    """What stands in for a block that a plan does not have.

    In a chain the identity; zero where outputs are added up; the last input of a block that ends a branch of several,
    if it is called `addend`: what is computed within the branch is read there alone.
    """

    skip: ClassVar[str | None] = None
    """The option of a choice among operations that passes on what it gets."""

    @property
    @abstractmethod
    def choices(self) -> tuple[Choice, ...]:
        """The decisions, in the order of a population's columns."""

    @abstractmethod
    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Yield the network's blocks with their names, in the order in which they run.

        A name stands for the same shared weights in every architecture. Names hold no dots.
        """

    def assemble(self, modules: Mapping[str, nn.Module]) -> nn.Module:
        """Wire the built blocks of one plan into a network: a chain, unless a space overrides it."""
        network = nn.Sequential()
        for name, module in modules.items():
            network.add_module(name, module)
        return network

    @property
    def is_chain(self) -> bool:
        """Whether networks are their blocks one after another, with nothing between them."""
        return type(self).assemble is SearchSpace.assemble

    def plan(self, options: Mapping[str, Any]) -> Plan:
        """Return the network's blocks by name, in order."""
        return dict(self.blocks(options))

    def build(self, architecture: Mapping[str, Any]) -> nn.Module:
        """Return the static network of an architecture, freshly initialised."""
        return self.assemble({name: block.build() for name, block in self.plan(architecture).items()})

    def inputs(self, architecture: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
        """Return the tensors that the network's `forward` takes: those of the first block, unless a space says so."""
        return self._first(architecture).inputs

    def example(
        self, architecture: Mapping[str, Any], batch_size: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Return tensors that the network's `forward` may get, as costly to compute with as real ones."""
        return self._first(architecture).example(batch_size, generator)

    def prepare(self, batch: Any, architecture: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Return the network's inputs for a batch of data.

        Args:
            batch: here standardised square images, a float tensor (B, C, S, S); a space for other data overrides this.
            architecture: the choices, which decide the resolution.
        """
        return (resize(batch, self.inputs(architecture)[0].shape[-1]),)

    @property
    def independent(self) -> Self:
        """The same space in a form in which what stands in a slot depends on as few choices as can be.

        Itself, unless plans leave out what cannot matter for reasons that lie elsewhere in the network.
        """
        return self

    def forms(self, population: Population) -> dict[str, Population]:
        """Return the forms (N, choices each) in which runtimes may run a population, by name; "written" is the first.

        They are populations of `independent`. Here a runtime runs what is written; a space whose networks hold parts
        that cannot matter says which of them a runtime may leave out.
        """
        return {"written": population}

    def scene_options(self, batch: Any, quantile: float) -> dict[str, Any]:
        """Return the options of this space that say how large examples are, where that decides what a network costs.

        Args:
            batch: some examples, as `prepare` takes them.
            quantile: which of them, by size: 0 the smallest, 0.5 a typical one, 1 the largest.
        """
        return {}

    def bundle_files(self) -> dict[str, str]:
        """Return what an exported network needs beside itself, by file name: code that makes its inputs of raw data."""
        return {}

    @property
    def image_size(self) -> int | None:
        """The side of the images that the largest network reads; None for a space that reads something else."""
        shape = self.inputs(self.largest())[0].shape
        return shape[-1] if len(shape) == 3 else None

    def _first(self, architecture: Mapping[str, Any]) -> Block:
        _, first = next(self.blocks(architecture))
        return first

    @cached_property
    def store_plan(self) -> Plan:
        """For every slot that any network has, the block of which all others in that slot are parts."""
        return covering(self.index, self.plan(self.largest()))

    @cached_property
    def index(self) -> PlanIndex:
        """The plans of all architectures as arrays; equal spaces share it, as finding it takes up to seconds."""
        return _index_of(self)

    @cached_property
    def n_options(self) -> NDArray[np.int64]:
        """The number of options of each choice, (choices,)."""
        return np.array([len(choice.options) for choice in self.choices])

    @cached_property
    def size(self) -> int:
        """The exact number of distinct networks."""
        return self.index.count()

    def sample(self, n: int, rng: np.random.Generator) -> Population:
        """Return (n, choices): each option of each choice equally likely."""
        return rng.integers(self.n_options, size=(n, len(self.n_options)))

    def mutate(self, population: Population, probability: float, rng: np.random.Generator) -> Population:
        """Return (N, choices): each choice drawn anew with the given probability."""
        redrawn = rng.random(population.shape) < probability
        return np.where(redrawn, self.sample(len(population), rng), population)

    def step(self, population: Population, rng: np.random.Generator) -> Population:
        """Return (N, choices): one choice of each row, equally likely, set to another of its options."""
        free = np.flatnonzero(self.n_options > 1)
        if not len(free):
            return population.copy()
        stepped, rows = population.copy(), np.arange(len(population))
        choice = rng.choice(free, len(population))
        offset = rng.integers(1, self.n_options[choice])
        stepped[rows, choice] = (population[rows, choice] + offset) % self.n_options[choice]
        return stepped

    def neighbours(self, row: NDArray[np.integer]) -> Population:
        """Return the population (n, choices) of all architectures that differ from one, (choices,), in one choice."""
        choice = np.repeat(np.arange(len(self.n_options)), self.n_options - 1)
        first = np.repeat(np.cumsum(self.n_options - 1) - (self.n_options - 1), self.n_options - 1)
        stepped, rows = np.tile(row, (len(choice), 1)), np.arange(len(choice))
        stepped[rows, choice] = (row[choice] + 1 + rows - first) % self.n_options[choice]
        return stepped

    def crossover(self, mothers: Population, fathers: Population, rng: np.random.Generator) -> Population:
        """Return (N, choices): each choice from either parent with equal probability."""
        return np.where(rng.random(mothers.shape) < 0.5, mothers, fathers)

    def canonical(self, population: Population) -> Population:
        """Return the population with inactive choices at their first option: equal networks become equal rows."""
        return self.index.canonical(population)

    def one_hot(self, population: Population) -> NDArray[np.float32]:
        """Return (N, sum of the numbers of options): 1 where an option is taken, 0 elsewhere."""
        first_columns = np.cumsum(self.n_options) - self.n_options
        features = np.zeros((len(population), int(self.n_options.sum())), np.float32)
        np.put_along_axis(features, population + first_columns, 1.0, axis=1)
        return features

    def shallower(self, share: float) -> Self:
        """Return the space with the same choices and a share of the depth; itself where depth is a choice."""
        return self

    def active(self, population: Population) -> Population:
        """Return the population with what cannot change a network's function at one option: its canonical form.

        A space that keeps apart architectures that compute the same overrides it, so that models learn from one what
        they are to expect of the other.
        """
        return self.canonical(population)

    def features(self, population: Population) -> NDArray[np.float64]:
        """Return (N, F): what networks are made of in a few numbers, for models that learn from few of them.

        Here how many blocks of each type there are; a space that knows more about its networks, such as how deep they
        are along which paths, overrides it.
        """
        types = [type(block) for block in self.index.blocks]
        counted = list(dict.fromkeys(types))
        of_block = np.array([[kind is other for other in counted] for kind in types] + [[False] * len(counted)], float)
        features: NDArray[np.float64] = of_block[self.index.block_ids(population)].sum(axis=1)
        return features

    def sequences(self, population: Population) -> NDArray[np.float64]:
        """Return (N, P): how often each sequence of layers occurs from input to output; here of none.

        A space whose networks branch overrides it, so that a model knows networks that compute the same as equal.
        """
        return np.empty((len(population), 0))

    def largest(self) -> Architecture:
        """Return the architecture with the last option everywhere, which is large if it is not the largest.

        Where options are sizes, every other network is a part of it. Where they are different operations, it holds
        but one of each choice: `store_plan` is what covers every network.
        """
        return self.decode(self.n_options[None] - 1)[0]

    def smallest(self) -> Architecture:
        """Return a small architecture that works: the first option everywhere, unless a space knows a better one."""
        return self.decode(np.zeros((1, len(self.n_options)), int))[0]

    def encode(self, architectures: Iterable[Mapping[str, Any]]) -> Population:
        """Return the population (N, choices) of some architectures.

        Raises:
            InputError: a choice is missing, unknown or has an option that the space does not have.
        """
        rows = [self._encode(architecture) for architecture in architectures]
        return np.array(rows, dtype=np.int64).reshape(len(rows), len(self.choices))

    def _encode(self, architecture: Mapping[str, Any]) -> list[int]:
        names = [choice.name for choice in self.choices]
        for name in architecture:
            if name not in names:
                raise unknown(f"choice of {self.name}", name, names)
        row = []
        for choice in self.choices:
            if choice.name not in architecture:
                raise InputError(
                    f"the architecture lacks choice {choice.name!r} of {self.name}: one of {choice.options}"
                )
            if architecture[choice.name] not in choice.options:
                raise unknown(f"option of {choice.name}", architecture[choice.name], choice.options)
            row.append(choice.options.index(architecture[choice.name]))
        return row

    def decode(self, population: Population | Sequence[Sequence[int]]) -> list[Architecture]:
        """Return the architectures of a population (N, choices)."""
        return [
            Architecture({choice.name: choice.options[int(i)] for choice, i in zip(self.choices, row, strict=True)})
            for row in np.asarray(population)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the space's name and options; `search_spaces.from_json` is the inverse."""
        return {"name": self.name, **dataclasses.asdict(self)}  # type: ignore[call-overload]  # every space is one

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits: equal for spaces of the same name and options."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:12]


@lru_cache(maxsize=16)
def _index_of(space: SearchSpace) -> PlanIndex:
    names, options = [c.name for c in space.choices], [c.options for c in space.choices]
    return PlanIndex(
        space.n_options.tolist(),
        lambda row: space.plan({n: o[i] for n, o, i in zip(names, options, row, strict=True)}),
    )
