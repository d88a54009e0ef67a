"""What the operations of `search_spaces.sparse.operations` are in ONNX: functions of standard nodes.

A convolution multiplies the pairs that there are, offset by offset, and scatters the rows. Every row's 27 neighbours
gathered into one matrix is fewer nodes and slower, as most neighbours are missing: on one thread 134 against 25 ms for
32 channels at the 94,444 voxels of a real frame, 36 against 2.6 ms for 128 channels at 4,000. ScatterND moves whole
rows; ScatterElements took 14 to 60 times as long. But threads of onnxruntime lose sums where one ScatterND adds to a
row twice: so no part of any list names a row twice, be it an offset, a round of merging points, or a corner.

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
from search_spaces.sparse.geometry import N_ROUNDS

DOMAIN = "sparse"

Inputs = dict[str, str]
"""Of a function: name -> F for float32, I for int64, L for either."""

_SIGNATURES: dict[str, Inputs] = {
    "ConvolveNeighbours": {"x": "F", "pairs": "I", "counts": "I", "weight": "F"},
    "ConvolveBetween": {"x": "F", "source": "I", "target": "I", "counts": "I", "weight": "F", "like": "L"},
    "AveragePoints": {"x": "F", "merges": "I", "counts": "I", "first": "I", "n_points": "F"},
    "Interpolate": {"x": "F", "corners": "I", "counts": "I", "shares": "F", "like": "L"},
}


def _call(name: str, *inputs: Any) -> FLOAT:
    """Make one node."""
    kinds = {"F": ["tensor(float)"], "I": ["tensor(int64)"], "L": ["tensor(float)", "tensor(int64)"]}
    schema = OpSchema(
        name,
        DOMAIN,
        1,
        inputs=[OpSchema.FormalParameter(key, kind) for key, kind in _SIGNATURES[name].items()],
        outputs=[OpSchema.FormalParameter("y", "F")],
        type_constraints=[(kind, types, "") for kind, types in kinds.items()],
    )
    result: FLOAT = Op(Opset(DOMAIN, 1), name, schema)(*inputs)
    return result


# The exporter reads these annotations.


def _convolve_neighbours(x: FLOAT, pairs: INT64, counts: INT64, weight: FLOAT) -> FLOAT:
    return _call("ConvolveNeighbours", x, pairs, counts, weight)


def _convolve_between(x: FLOAT, source: INT64, target: INT64, counts: INT64, weight: FLOAT, like: Any) -> FLOAT:
    return _call("ConvolveBetween", x, source, target, counts, weight, like)


def _average_points(x: FLOAT, merges: INT64, counts: INT64, first: INT64, n_points: FLOAT) -> FLOAT:
    return _call("AveragePoints", x, merges, counts, first, n_points)


def _interpolate(x: FLOAT, corners: INT64, counts: INT64, shares: FLOAT, like: Any) -> FLOAT:
    return _call("Interpolate", x, corners, counts, shares, like)


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


class _Body(list[NodeProto]):
    """The nodes of a function, one after the other."""

    def add(self, op_type: str, *inputs: str, n_outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or the names of several."""
        outputs = [f"{op_type}_{len(self)}_{number}" for number in range(n_outputs)]
        self.append(make_node(op_type, inputs, outputs, **attributes))
        return outputs[0] if n_outputs == 1 else outputs

    def column(self, name: str) -> Any:
        """Return a vector as a matrix of one column."""
        return self.add("Unsqueeze", name, self.add("Constant", value_ints=[1]))

    def zeros(self, like: str, channels: str) -> Any:
        """Return zeros with the rows of one tensor and the channels of another's last axis."""
        shape = self.add("Concat", self.add("Shape", like, end=1), self.add("Shape", channels, start=-1), axis=0)
        return self.add("Expand", self.add("Constant", value_floats=[0.0]), shape)

    def kernel(self, number: int) -> Any:
        """Return the weight (in, out) of one offset."""
        return self.add("Gather", "weight", self.add("Constant", value_int=number), axis=0)

    def parts(self, rows: str, n: int) -> Any:
        """Return the n parts of a list that are counted."""
        sizes = self.add("ReduceSum", "counts", self.add("Constant", value_ints=[0]), keepdims=0)
        return self.add("Split", rows, sizes, n_outputs=n, axis=0)

    def columns(self, pairs: str, n: int) -> list[Any]:
        """Return the two columns of each part of some pairs."""
        return [self.add("Split", part, n_outputs=2, axis=1, num_outputs=2) for part in self.parts(pairs, n)]

    def add_product(self, y: str, onto: str, rows: str, kernel: int) -> Any:
        """Return y, to some of whose rows, each once, is added a product of rows of x with one weight."""
        product = self.add("MatMul", self.add("GatherND", "x", rows), self.kernel(kernel))
        return self.add("ScatterND", y, onto, product, reduction="add")


def _neighbours() -> _Body:
    body = _Body()
    y = body.add("MatMul", "x", body.kernel(0))
    for number, (first, second) in enumerate(body.columns("pairs", 13)):
        y = body.add_product(y, first, second, 2 * number + 1)
        y = body.add_product(y, second, first, 2 * number + 2)
    return body


def _between() -> _Body:
    body = _Body()
    y = body.zeros("like", "weight")
    pairs = body.add("Concat", body.column("source"), body.column("target"), axis=1)
    for number, (source, target) in enumerate(body.columns(pairs, 8)):
        y = body.add_product(y, target, source, number)
    return body


def _average() -> _Body:
    body = _Body()
    y = "x"
    for joining, joined in body.columns("merges", N_ROUNDS):
        y = body.add("ScatterND", y, joined, body.add("GatherND", y, joining), reduction="add")
    body.add("Div", body.add("Gather", y, "first", axis=0), body.column("n_points"))
    return body


def _interpolation() -> _Body:
    body = _Body()
    y = body.zeros("like", "x")
    for (voxel, point), shares in zip(body.columns("corners", 8), body.parts(body.column("shares"), 8), strict=True):
        part = body.add("Mul", body.add("GatherND", "x", voxel), shares)
        y = body.add("ScatterND", y, point, part, reduction="add")
    return body


def _definitions() -> list[FunctionProto]:
    bodies = (_neighbours(), _between(), _average(), _interpolation())
    return [
        make_function(DOMAIN, name, list(inputs), [body[-1].output[0]], body, [make_opsetid("", 20)])
        for (name, inputs), body in zip(_SIGNATURES.items(), bodies, strict=True)
    ]
