"""What the operations of `search_spaces.sparse.operations` are in ONNX: functions of standard nodes, any number of rows.

A convolution multiplies the pairs that there are, offset by offset, and scatters the rows. Every row's 27 neighbours
gathered into one matrix is fewer nodes and slower, as most neighbours are missing: on one thread 134 against 25 ms for
32 channels at the 94,444 voxels of a real frame, 36 against 2.6 ms for 128 channels at 4,000. ScatterND moves whole
rows; ScatterElements took 14 to 60 times as long.

In a model each operation is one node, and the model itself defines what it means. The exporter, whose time grows with
the square of the number of nodes, so sees few; runtimes put the definitions in place when they load the model.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnx import FunctionProto, ModelProto, NodeProto
from onnx.defs import OpSchema
from onnx.helper import make_function, make_node, make_opsetid
from onnxscript import FLOAT, INT64
from onnxscript.values import Op, Opset

from search_spaces.sparse import operations  # noqa: F401  registers the operators

DOMAIN = "sparse"

Inputs = dict[str, str]
"""Of a function: name -> F for float32, I for int64, L for either."""

_SIGNATURES: dict[str, Inputs] = {
    "ConvolveNeighbours": {"x": "F", "pairs": "I", "counts": "I", "weight": "F"},
    "ConvolveBetween": {"x": "F", "source": "I", "target": "I", "counts": "I", "weight": "F", "like": "L"},
    "AveragePoints": {"x": "F", "voxel": "I", "n_points": "F"},
    "Interpolate": {"x": "F", "corners": "I", "shares": "F", "like": "L"},
}


def _op(name: str) -> Op:
    schema = OpSchema(
        name,
        DOMAIN,
        1,
        inputs=[OpSchema.FormalParameter(key, kind) for key, kind in _SIGNATURES[name].items()],
        outputs=[OpSchema.FormalParameter("y", "F")],
        type_constraints=[
            ("F", ["tensor(float)"], ""),
            ("I", ["tensor(int64)"], ""),
            ("L", ["tensor(float)", "tensor(int64)"], ""),
        ],
    )
    return Op(Opset(DOMAIN, 1), name, schema)


def _convolve_neighbours(x: FLOAT, pairs: INT64, counts: INT64, weight: FLOAT) -> FLOAT:
    return _op("ConvolveNeighbours")(x, pairs, counts, weight)


def _convolve_between(x: FLOAT, source: INT64, target: INT64, counts: INT64, weight: FLOAT, like: Any) -> FLOAT:
    return _op("ConvolveBetween")(x, source, target, counts, weight, like)


def _average_points(x: FLOAT, voxel: INT64, n_points: FLOAT) -> FLOAT:
    return _op("AveragePoints")(x, voxel, n_points)


def _interpolate(x: FLOAT, corners: INT64, shares: FLOAT, like: Any) -> FLOAT:
    return _op("Interpolate")(x, corners, shares, like)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.sparse.convolve_neighbours.default: _convolve_neighbours,
    torch.ops.sparse.convolve_between.default: _convolve_between,
    torch.ops.sparse.average_points.default: _average_points,
    torch.ops.sparse.interpolate.default: _interpolate,
}
"""For the exporter: operator -> the node to make of it."""


def define(model: ModelProto) -> None:
    """Add the definitions of the operations to a model that uses them."""
    used = {node.op_type for node in model.graph.node if node.domain == DOMAIN}
    model.functions.extend(function for function in _definitions() if function.name in used)


class _Nodes(list[NodeProto]):
    """Nodes of a function, made one after the other."""

    def make(self, op_type: str, *inputs: str, n_outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or the names of several."""
        outputs = [f"{op_type}_{len(self)}_{number}" for number in range(n_outputs)]
        self.append(make_node(op_type, inputs, outputs, **attributes))
        return outputs[0] if n_outputs == 1 else outputs

    def ints(self, *values: int) -> str:
        name: str = self.make("Constant", value_ints=values)
        return name

    def zeros(self, like: str, channels: str) -> str:
        """Return zeros with the rows of one tensor and the channels of another's last axis."""
        shape = self.make("Concat", self.make("Shape", like, end=1), self.make("Shape", channels, start=-1), axis=0)
        name: str = self.make("Expand", self.make("Constant", value_floats=[0.0]), shape)
        return name

    def by_offset(self, pairs: str, counts: str, n_offsets: int) -> list[tuple[str, str]]:
        """Return the two columns of the pairs at each offset."""
        sizes = self.make("ReduceSum", counts, self.ints(0), keepdims=0)
        parts = self.make("Split", pairs, sizes, n_outputs=n_offsets, axis=0)
        return [tuple(self.make("Split", part, n_outputs=2, axis=1, num_outputs=2)) for part in parts]

    def add_product(self, y: str, onto: str, rows: str, kernel: int) -> str:
        """Return y with the product of some rows of x added to some of its own."""
        product = self.make("MatMul", self.make("GatherND", "x", rows), self.kernel(kernel))
        name: str = self.make("ScatterND", y, onto, product, reduction="add")
        return name

    def kernel(self, number: int) -> str:
        name: str = self.make("Gather", "weight", self.make("Constant", value_int=number), axis=0)
        return name


def _definitions() -> list[FunctionProto]:
    neighbours = _Nodes()
    y = neighbours.make("MatMul", "x", neighbours.kernel(0))
    for number, (first, second) in enumerate(neighbours.by_offset("pairs", "counts", 13)):
        y = neighbours.add_product(y, first, second, 2 * number + 1)
        y = neighbours.add_product(y, second, first, 2 * number + 2)
    between = _Nodes()
    columns = [between.make("Unsqueeze", name, between.ints(1)) for name in ("source", "target")]
    y = between.zeros("like", "weight")
    for number, (source, target) in enumerate(between.by_offset(between.make("Concat", *columns, axis=1), "counts", 8)):
        y = between.add_product(y, target, source, number)
    average = _Nodes()
    rows = average.make("Unsqueeze", "voxel", average.ints(1))
    total = average.make("ScatterND", average.zeros("n_points", "x"), rows, "x", reduction="add")
    average.make("Div", total, average.make("Unsqueeze", "n_points", average.ints(1)))
    between_voxels = _Nodes()
    voxel, point = between_voxels.make("Split", "corners", n_outputs=2, axis=1, num_outputs=2)
    weights = between_voxels.make("Unsqueeze", "shares", between_voxels.ints(1))
    parts = between_voxels.make("Mul", between_voxels.make("GatherND", "x", voxel), weights)
    between_voxels.make("ScatterND", between_voxels.zeros("like", "x"), point, parts, reduction="add")
    bodies = (neighbours, between, average, between_voxels)
    return [
        make_function(DOMAIN, name, list(inputs), [nodes[-1].output[0]], nodes, [make_opsetid("", 20)])
        for (name, inputs), nodes in zip(_SIGNATURES.items(), bodies, strict=True)
    ]
