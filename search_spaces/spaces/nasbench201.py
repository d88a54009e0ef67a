"""NAS-Bench-201 (Dong and Yang, ICLR 2020): one cell of four nodes and six edges, each edge one of five operations."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from search_spaces.block import Block
from search_spaces.blocks.cells import Identity, NormClassifier, Pool, ReLUConvNorm, ResidualReduction, add_up
from search_spaces.blocks.mobile import ConvNorm, strided
from search_spaces.cell_graph import AGAIN, CellGraph, Edge, edge_slot, edges_by_cell, pooled_again
from search_spaces.errors import InputError
from search_spaces.plan_index import Population
from search_spaces.space import Architecture, Choice, SearchSpace

_NONE = "none"
_OPERATIONS = (_NONE, "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
_OUTPUT = 3

CELL = CellGraph(
    edges=((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)),
    n_operations=len(_OPERATIONS),
    none=0,
    identity=1,
    layers=(3, 4),
)
"""The operations in the order of the choices' options."""

_N_STAGES = 3


@dataclass(frozen=True, config={"extra": "forbid"})
class NASBench201(SearchSpace):
    """Three stages of equal cells with a residual block of stride 2 between them; 5^6 = 15,625 architectures.

    An edge is dead where no path leads from the cell's input to it, or none from it to the output. Without dead edges,
    architectures that compute the same with the same weights have the same plan. The published networks, parameters
    and multiply-adds are with them.
    """

    name: ClassVar[str] = "nasbench201"
    absent = "zero"
    skip = "skip_connect"

    n_classes: int = Field(default=10, ge=2, description="classes of the data")
    in_channels: int = Field(default=3, ge=1, description="channels of the images")
    resolution: int = Field(default=32, ge=8, description="image size")
    channels: int = Field(default=16, ge=1, description="width of the first stage; each later one is twice as wide")
    cells: int = Field(default=5, ge=1, description="cells of a stage")
    dead_edges: Literal["remove", "keep"] = Field(
        default="remove",
        description="keep: what cannot change the output, or was computed before, is computed, as published",
    )

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One choice an edge, in the order of the published strings."""
        return tuple(Choice(f"edge_{source}_{target}", _OPERATIONS) for source, target in CELL.edges)

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Stem, cells and reductions, classifier; an edge's operation is part of its slot's name."""
        live = self.dead_edges == "remove"
        edges = _operations(options, live=live)
        edges = pooled_again(edges) if live else edges
        size, channels = self.resolution, self.channels
        yield "stem", ConvNorm(size, self.in_channels, channels, 3, 1, "identity")
        for stage in range(_N_STAGES):
            if stage > 0:
                yield f"reduction{stage}", ResidualReduction(size, channels, 2 * channels)
                size, channels = strided(size, 2), 2 * channels
            for cell in range(stage * self.cells + 1, (stage + 1) * self.cells + 1):
                for edge, operation in edges.items():
                    yield edge_slot(cell, edge, operation), _block(operation, size, channels)
        yield "classifier", NormClassifier(size, channels, self.n_classes)

    def assemble(self, modules: Mapping[str, nn.Module]) -> nn.Module:
        """Wire the cells out of the edges that there are."""
        return _Network(modules, self.cells)

    @property
    def independent(self) -> "NASBench201":
        """The same with every operation computed, whether it can change the output or not."""
        return replace(self, dead_edges="keep")

    def shallower(self, share: float) -> "NASBench201":
        """Return the space with fewer cells in a stage."""
        return replace(self, cells=max(1, round(share * self.cells)))

    def forms(self, population: Population) -> dict[str, Population]:
        """As written; without all dead edges; without those that a converter removes that folds products with zero."""
        return {"written": population, "pruned": CELL.live(population), "folded": CELL.folded(population)}

    def active(self, population: Population) -> Population:
        """Return architectures (N, choices) without operations that cannot change the output."""
        return np.asarray(CELL.live(population)) if self.dead_edges == "keep" else super().active(population)

    def features(self, population: Population) -> NDArray[np.float64]:
        """Return what a cell computes, and of what."""
        return CELL.features(population)

    def sequences(self, population: Population) -> NDArray[np.float64]:
        """Return the sequences of operations along a cell's paths."""
        return CELL.sequences(population)

    def smallest(self) -> Architecture:
        """Return the smallest network that is connected: a skip connection from each cell's input to its output."""
        operations = {f"edge_{source}_{target}": _NONE for source, target in CELL.edges}
        return Architecture(operations | {f"edge_0_{_OUTPUT}": "skip_connect"})

    def from_string(self, text: str) -> Architecture:
        """Read an architecture as published: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

        Raises:
            InputError: the string has another form; says where.
        """
        operations, place = {}, 0
        for source, target in CELL.edges:
            place = _expect(text, place, "+|" if source == 0 and target > 1 else "|" if source == 0 else "")
            end = text.find("~", place)
            operation = text[place : end if end >= 0 else len(text)]
            if operation not in _OPERATIONS:
                raise _malformed(text, place, f"one of {', '.join(_OPERATIONS)} for edge {source}-{target}")
            operations[f"edge_{source}_{target}"] = operation
            place = _expect(text, place + len(operation), f"~{source}|")
        if place < len(text):
            raise _malformed(text, place, "the end")
        return Architecture(operations)

    def to_string(self, architecture: Mapping[str, Any]) -> str:
        """Return an architecture as published; the inverse of `from_string`."""
        nodes = []
        for node in range(1, _OUTPUT + 1):
            edges = [f"{architecture[f'edge_{source}_{node}']}~{source}" for source in range(node)]
            nodes.append(f"|{'|'.join(edges)}|")
        return "+".join(nodes)


def _operations(options: Mapping[str, Any], *, live: bool) -> dict[Edge, str]:
    """Return the operation of each edge that has one, or of those alone that can change the output."""
    numbers = np.array([[_OPERATIONS.index(options[f"edge_{source}_{target}"]) for source, target in CELL.edges]])
    (chosen,) = CELL.live(numbers) if live else numbers
    return {edge: _OPERATIONS[number] for edge, number in zip(CELL.edges, chosen, strict=True) if number != CELL.none}


@lru_cache(maxsize=1 << 10)
def _block(operation: str, size: int, channels: int) -> Block:
    if operation == "skip_connect" or operation.endswith(AGAIN):
        return Identity(size, channels, channels, 1)
    if operation == "avg_pool_3x3":
        return Pool(size, channels, channels, 1, "avg")
    return ReLUConvNorm(size, channels, channels, 1, int(operation[-1]))


class _Network(nn.Module):
    """The modules of a plan, by slot, and the edges of each cell in the order in which they can be computed."""

    def __init__(self, modules: Mapping[str, nn.Module], cells_a_stage: int) -> None:
        super().__init__()
        self._cells_a_stage = cells_a_stage
        self._edges = edges_by_cell(modules)
        for slot, module in modules.items():
            self.add_module(slot, module)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, classes) of images (batch, channels, height, width)."""
        x = self.get_submodule("stem")(x)
        for stage in range(_N_STAGES):
            if stage > 0:
                x = self.get_submodule(f"reduction{stage}")(x)
            for cell in range(stage * self._cells_a_stage + 1, (stage + 1) * self._cells_a_stage + 1):
                nodes = {0: x}
                add_up(self, cell, self._edges.get(cell, ()), nodes)
                x = nodes[_OUTPUT] if _OUTPUT in nodes else x * 0  # zero where nothing arrives, as published
        logits: Tensor = self.get_submodule("classifier")(x)
        return logits


def _expect(text: str, place: int, expected: str) -> int:
    """Return the place behind what is expected at a place."""
    if not text.startswith(expected, place):
        raise _malformed(text, place, repr(expected))
    return place + len(expected)


def _malformed(text: str, place: int, expected: str) -> InputError:
    found = repr(text[place : place + 20]) if place < len(text) else "its end"
    return InputError(
        f"architecture string {text!r} has {found} at character {place + 1}, where {expected} is expected"
    )
