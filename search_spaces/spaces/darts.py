"""DARTS's space (Liu et al., ICLR 2019): a normal and a reduction cell of four nodes with two inputs each."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import combinations
from typing import Any, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, cat, nn

from search_spaces.block import Block, Shape
from search_spaces.blocks.cells import (
    DilatedConv,
    FactorizedReduce,
    Identity,
    Pool,
    ReLUConvNorm,
    SeparableConv,
    add_up,
)
from search_spaces.blocks.mobile import ConvNorm, PooledClassifier, strided
from search_spaces.cell_graph import edge_slot, edges_by_cell
from search_spaces.errors import InputError
from search_spaces.space import Architecture, Choice, SearchSpace

_CELLS = ("normal", "reduce")
_INPUTS = (0, 1)
"""The outputs of the two cells before."""

_NODES = (2, 3, 4, 5)
"""What is computed, and concatenated."""

_OPERATIONS = (
    "skip_connect",
    "max_pool_3x3",
    "avg_pool_3x3",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "sep_conv_3x3",
    "sep_conv_5x5",
)
_SHOWN = 40
"""Characters of what is wrong in a genotype."""


@dataclass(frozen=True, config={"extra": "forbid"})
class DARTS(SearchSpace):
    """Each node adds up two of seven operations, on two different nodes before it; (180 x 7^8)^2 = 1.1e18 networks.

    Cells are stacked, a third and two thirds of the way reduction cells of doubled width. `channels` and `layers` are
    those of the paper's search on CIFAR-10; it evaluates at 36 and 20, and on ImageNet at 48 and 14.
    """

    name: ClassVar[str] = "darts"
    absent = "zero"
    skip = "skip_connect"

    n_classes: int = Field(default=10, ge=2, description="classes of the data")
    in_channels: int = Field(default=3, ge=1, description="channels of the images")
    resolution: int = Field(default=32, ge=8, description="image size")
    stem: Literal["cifar", "imagenet"] = Field(
        default="cifar", description="cifar: images of 32x32 pixels or so; imagenet: 224x224, reduced eight times"
    )
    channels: int = Field(default=16, ge=2, description="width of a node in the first cell")
    layers: int = Field(default=8, ge=3, description="cells")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """For each node of each cell: its two inputs together, unless there are but two, and an operation for each."""
        choices = []
        for cell in _CELLS:
            for node in _NODES:
                pairs = tuple(f"{first},{second}" for first, second in combinations(range(node), 2))
                choices += [Choice(f"{cell}_{node}_inputs", pairs)] if len(pairs) > 1 else []
                choices += [Choice(f"{cell}_{node}_{which}", _OPERATIONS) for which in ("first", "second")]
        return tuple(choices)

    def blocks(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Block]]:
        """Stem, cells, classifier; an edge's operation is part of its slot's name."""
        edges = {cell: list(_edges(cell, options)) for cell in _CELLS}
        stem = self._stem()
        for number, block in enumerate(stem, 1):
            yield f"stem{number}", block
        before, last = (block.output.shape[:2] for block in (stem * 2)[-2:])
        channels = self.channels
        for number in range(1, self.layers + 1):
            reduces = number - 1 in (self.layers // 3, 2 * self.layers // 3)
            channels, stride = (2 * channels, 2) if reduces else (channels, 1)
            size, inner_size = last[1], strided(last[1], stride)
            yield f"cell{number}_preprocess_0", _preprocess(before, size, channels)
            yield f"cell{number}_preprocess_1", _preprocess(last, size, channels)
            for source, node, operation in edges["reduce" if reduces else "normal"]:
                outer = source in _INPUTS
                block = _block(operation, size if outer else inner_size, channels, stride if outer else 1)
                yield edge_slot(number, (source, node), operation), block
            before, last = last, (len(_NODES) * channels, inner_size)
        yield "classifier", PooledClassifier(last[1], last[0], None, self.n_classes, 0.0)

    def _stem(self) -> tuple[Block, ...]:
        """Return one block, whose output the first cell takes twice, or several, of which it takes the last two."""
        size, channels = self.resolution, self.channels
        if self.stem == "cifar":
            return (ConvNorm(size, self.in_channels, 3 * channels, 3, 1, "identity"),)
        half, quarter = strided(size, 2), strided(strided(size, 2), 2)
        return (
            ConvNorm(size, self.in_channels, channels // 2, 3, 2, "relu"),
            ConvNorm(half, channels // 2, channels, 3, 2, "identity"),
            ReLUConvNorm(quarter, channels, channels, 2, 3),
        )

    def assemble(self, modules: Mapping[str, nn.Module]) -> nn.Module:
        """Wire the cells out of the edges that there are."""
        return _Network(modules)

    def shallower(self, share: float) -> "DARTS":
        """Return the space with fewer cells, three at least: two reduce."""
        return replace(self, layers=max(3, round(share * self.layers)))

    def from_genotype(self, text: str) -> Architecture:
        """Read an architecture as published: `Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=..., ...)`.

        Raises:
            InputError: the text has another form, or a cell that is not in the space; says where.
        """
        fields = _fields(text)
        options: dict[str, int | float | str] = {}
        for cell in _CELLS:
            edges = _items(text, fields[cell], 2 * len(_NODES), "pairs of operation and input")
            for node, pair in zip(_NODES, zip(edges[::2], edges[1::2], strict=True), strict=True):
                (first, first_operation), (second, second_operation) = sorted(_edge(text, e, node) for e in pair)
                if first == second:
                    raise _malformed(text, pair[1], f"an input of node {node} other than its first, {first},")
                if node > _NODES[0]:
                    options[f"{cell}_{node}_inputs"] = f"{first},{second}"
                options |= {f"{cell}_{node}_first": first_operation, f"{cell}_{node}_second": second_operation}
            _require_all_nodes(text, fields[f"{cell}_concat"])
        return Architecture(options)

    def to_genotype(self, architecture: Mapping[str, Any]) -> str:
        """Return an architecture as published; the inverse of `from_genotype`, but for the order of a node's inputs."""
        fields = []
        for cell in _CELLS:
            edges = [(operation, source) for source, _, operation in _edges(cell, architecture)]
            fields.append(f"{cell}={edges}, {cell}_concat={list(_NODES)}")
        return f"Genotype({', '.join(fields)})"


def _edges(cell: str, options: Mapping[str, Any]) -> Iterator[tuple[int, int, str]]:
    """Yield the node that each edge of a cell reads, the one that it is added to, and its operation."""
    for node in _NODES:
        sources = options.get(f"{cell}_{node}_inputs", "0,1").split(",")
        for which, source in zip(("first", "second"), sources, strict=True):
            yield int(source), node, options[f"{cell}_{node}_{which}"]


@lru_cache(maxsize=1 << 10)
def _preprocess(shape: Shape, size: int, channels: int) -> Block:
    """Bring an output (channels, size) of an earlier cell to the width and size of a cell's inputs."""
    in_channels, in_size = shape
    if in_size > size:
        return FactorizedReduce(in_size, in_channels, channels)
    return ReLUConvNorm(in_size, in_channels, channels, 1, 1)


@lru_cache(maxsize=1 << 10)
def _block(operation: str, size: int, channels: int, stride: int) -> Block:
    if operation == "skip_connect":
        return Identity(size, channels, channels, 1) if stride == 1 else FactorizedReduce(size, channels, channels)
    if operation in ("max_pool_3x3", "avg_pool_3x3"):
        return Pool(size, channels, channels, stride, "max" if operation == "max_pool_3x3" else "avg")
    conv = SeparableConv if operation.startswith("sep") else DilatedConv
    return conv(size, channels, channels, stride, int(operation[-1]))


class _Network(nn.Module):
    """The modules of a plan, by slot, and the edges of each cell in the order in which they can be computed."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._stem: list[str] = []
        self._edges = edges_by_cell(modules)
        for slot, module in modules.items():
            self.add_module(slot, module)
            if slot.startswith("stem"):
                self._stem.append(slot)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, classes) of images (batch, channels, height, width)."""
        outputs = [x]
        for slot in self._stem:
            outputs.append(self.get_submodule(slot)(outputs[-1]))
        before, last = outputs[-2:] if len(self._stem) > 1 else outputs[-1:] * 2
        for number, edges in self._edges.items():
            nodes = {
                0: self.get_submodule(f"cell{number}_preprocess_0")(before),
                1: self.get_submodule(f"cell{number}_preprocess_1")(last),
            }
            add_up(self, number, edges, nodes)
            before, last = last, cat([nodes[node] for node in _NODES], dim=1)
        logits: Tensor = self.get_submodule("classifier")(last)
        return logits


def _fields(text: str) -> dict[str, ast.expr]:
    """Return the fields of a genotype, unread."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place, reason = "", str(error)
        if isinstance(error, SyntaxError):
            reason = error.msg
            place = f" at line {error.lineno}, character {error.offset}" if error.lineno else ""  # not of an empty text
        raise InputError(
            f"genotype {_shortened(text)!r} is malformed{place}: {reason}; expected Genotype(normal=[...], ...)"
        ) from None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Genotype"):
        raise _malformed(text, call, "Genotype(...)")
    if call.args:
        raise _malformed(text, call.args[0], "a field with its name, such as normal=...")
    known = [name for cell in _CELLS for name in (cell, f"{cell}_concat")]
    fields: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg not in known:
            raise _malformed(text, keyword.value, f"one of the fields {', '.join(known)}, not {keyword.arg},")
        if keyword.arg in fields:
            raise _malformed(text, keyword.value, f"another field than {keyword.arg}, which it has already,")
        fields[keyword.arg] = keyword.value
    for name in known:
        if name not in fields:
            raise InputError(f"genotype lacks the field {name}: it needs {', '.join(known)}")
    return fields


def _items(text: str, node: ast.expr, n: int, what: str) -> list[ast.expr]:
    if not isinstance(node, ast.List | ast.Tuple) or len(node.elts) != n:
        raise _malformed(text, node, f"a list of {n} {what}")
    return node.elts


def _edge(text: str, edge: ast.expr, node: int) -> tuple[int, str]:
    """Return the input and the operation of one edge of a node."""
    operation, source = _items(text, edge, 2, "items, an operation and an input,")
    if not isinstance(operation, ast.Constant) or operation.value not in _OPERATIONS:
        raise _malformed(text, operation, f"one of {', '.join(_OPERATIONS)}")
    if not isinstance(source, ast.Constant) or type(source.value) is not int or source.value >= node:
        raise _malformed(text, source, f"an input of node {node}, 0 to {node - 1},")
    return source.value, str(operation.value)


def _require_all_nodes(text: str, concat: ast.expr) -> None:
    if ast.unparse(concat) != f"range({_NODES[0]}, {_NODES[-1] + 1})":
        for number, item in zip(_NODES, _items(text, concat, len(_NODES), "nodes to concatenate"), strict=True):
            if not isinstance(item, ast.Constant) or item.value != number:
                raise _malformed(text, item, f"node {number}, as all are concatenated in order,")


def _malformed(text: str, node: ast.expr, expected: str) -> InputError:
    found = ast.get_source_segment(text.strip(), node) or ""
    found = _shortened(found)
    place = f"line {node.lineno}, character {node.col_offset + 1}"
    return InputError(f"genotype has {' '.join(found.split())} at {place}, where {expected} is expected")


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
