"""A cell whose edges each hold one operation: which of them can matter, and how deep the cell is along its paths."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Edge = tuple[int, int]
"""The node that an edge reads and the node that it is added to."""

_EDGE_SLOT = re.compile(r"cell(\d+)_edge_(\d)_(\d)_(\w+)")


AGAIN = "_again"
"""Ends the operation of an edge that passes on what an edge before it, from the same node, has computed."""


def edge_slot(cell: int, edge: Edge, operation: str) -> str:
    """Return the slot of the operation on an edge of a cell: each operation has weights of its own."""
    return f"cell{cell}_edge_{edge[0]}_{edge[1]}_{operation}"


def edges_by_cell(slots: Iterable[str]) -> dict[int, list[tuple[Edge, str]]]:
    """Return the edges of each cell with their operations, those to lower nodes first."""
    cells: dict[int, list[tuple[Edge, str]]] = {}
    for slot in slots:
        if match := _EDGE_SLOT.fullmatch(slot):
            cell, source, target = (int(number) for number in match.groups()[:3])
            cells.setdefault(cell, []).append(((source, target), match[4]))
    return {cell: sorted(edges, key=lambda edge: edge[0][1]) for cell, edges in cells.items()}


def pooled_again(edges: Mapping[Edge, str]) -> dict[Edge, str]:
    """Return the operations with every pooling of what an edge before has pooled the same way told as `AGAIN`.

    It has no weights, so runtimes compute it once, and so does the network: latencies add up only if plans say so.
    For small spaces: every edge depends on those before it.
    """
    seen: set[tuple[int, str]] = set()
    told = {}
    for edge, operation in edges.items():
        key = edge[0], operation
        told[edge] = f"{operation}{AGAIN}" if "pool" in operation and key in seen else operation
        seen.add(key)
    return told


_ZERO, _COMPUTED, _LAYER = range(3)
"""What a node holds: a constant zero, something computed, or what a single layer puts out."""


@dataclass(frozen=True)
class CellGraph:
    """The edges of a cell, from node 0 to the last, and what its operations, numbers from 0, are.

    Attributes:
        edges: every edge leads to a higher node.
        n_operations: how many operations there are.
        none: the operation that an edge is absent with.
        identity: the operation that passes on what it gets.
        layers: the operations that have weights.
    """

    edges: tuple[Edge, ...]
    n_operations: int
    none: int
    identity: int
    layers: tuple[int, ...]

    @cached_property
    def paths(self) -> tuple[list[int], ...]:
        """Every path from the first node to the last one, as numbers of edges."""
        return tuple([*path] for path in self._paths_from(0))

    def _paths_from(self, node: int) -> Iterator[tuple[int, ...]]:
        if node == max(target for _, target in self.edges):
            yield ()
        for i, (source, target) in enumerate(self.edges):
            if source == node:
                yield from ((i, *rest) for rest in self._paths_from(target))

    def live(self, operations: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return operations (N, edges) without those on no path from the first node to the last: they are none."""
        on_path = np.zeros(operations.shape, bool)
        for path in self.paths:
            on_path[:, path] |= (operations[:, path] != self.none).all(axis=1)[:, None]
        return np.where(on_path, operations, self.none)

    def folded(self, operations: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return operations (N, edges) without those that a converter removes for which `none` is a product with zero.

        It folds the factor into the weights of a layer that nothing else reads: the layer is computed, with weights of
        zero. Other products with zero are constants, left out of the sums that they would be terms of, and what only
        they read is removed. Layers of zeros are computed. Published latencies follow this (seen in all of pixel3's and
        raspi4's; HELP, Lee et al., NeurIPS 2021), as far as the factor is the last term of its sum.
        """
        nodes = range(max(target for _, target in self.edges) + 1)
        unread = [
            np.all([operations[:, i] == self.none for i, edge in enumerate(self.edges) if edge[0] == node], axis=0)
            for node in nodes
        ]
        value = [np.full(len(operations), _COMPUTED)]
        adds = np.zeros(operations.shape, bool)
        for node in nodes[1:]:
            into = [i for i, edge in enumerate(self.edges) if edge[1] == node]
            brought = []
            for i in into:
                source, operation = self.edges[i][0], operations[:, i]
                kept = (i == into[-1]) & unread[source] & (value[source] == _LAYER)
                cases = [operation == self.none, operation == self.identity, np.isin(operation, self.layers)]
                brought.append(np.select(cases, [np.where(kept, _LAYER, _ZERO), value[source], _LAYER], _COMPUTED))
            adds[:, into] = np.stack(brought, axis=1) != _ZERO
            alone = np.max(brought, axis=0)  # of all values zero is the least
            value.append(np.where(adds[:, into].sum(axis=1) > 1, _COMPUTED, alone))
        needed = [np.zeros(len(operations), bool) for _ in nodes[:-1]] + [np.ones(len(operations), bool)]
        for i, (source, target) in sorted(enumerate(self.edges), key=lambda numbered: -numbered[1][1]):
            needed[source] |= needed[target] & adds[:, i]
        computed = np.stack([needed[target] for _, target in self.edges], axis=1) & needed[0][:, None]
        return np.where(computed, operations, self.none)

    def features(self, operations: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return (N, F) numbers that say what cells (N, edges) compute, and what a device has to run for it.

        How often each operation occurs: where it can change the output, as written, and as a converter leaves it. Then,
        dead edges apart, how many paths there are; their operations, identities apart, on the shortest path and the
        longest; layers on the longest path and on all paths together; and for each kind of layer, the most on one
        path. After the path encoding of BANANAS (White et al., AAAI 2021), but in a few numbers.
        """
        live = self.live(operations)
        kinds = [kind for kind in range(self.n_operations) if kind != self.none]
        forms = (live, operations, self.folded(operations))
        columns = [(form == kind).sum(axis=1) for form in forms for kind in kinds]
        paths = [live[:, path] for path in self.paths]
        open_ = np.stack([(path != self.none).all(axis=1) for path in paths], axis=1)
        lengths = np.stack([(path != self.identity).sum(axis=1) for path in paths], axis=1)
        of_kind = [np.stack([(path == kind).sum(axis=1) for path in paths], axis=1) * open_ for kind in self.layers]
        layers = np.sum([np.zeros_like(lengths), *of_kind], axis=0)
        shortest = np.where(open_, lengths, lengths.max(initial=0)).min(axis=1)
        columns += [open_.sum(axis=1), shortest * open_.any(axis=1), (lengths * open_).max(axis=1)]
        columns += [layers.max(axis=1), layers.sum(axis=1), *(kind.max(axis=1) for kind in of_kind)]
        return np.stack(columns, axis=1).astype(np.float64)

    def sequences(self, operations: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return (N, P): how often each sequence of operations, identities left out, is a path of cells (N, edges).

        Equal for isomorphic cells. After the path encoding of BANANAS (White et al., AAAI 2021), which tells whether a
        path is there, with identities in it.
        """
        computing = [kind for kind in range(self.n_operations) if kind not in (self.none, self.identity)]
        digits = np.zeros(self.n_operations, np.int64)
        digits[computing] = np.arange(len(computing)) + 1
        base, longest = len(computing) + 1, max(len(path) for path in self.paths)
        counts = np.zeros((len(operations), base**longest))
        for path in self.paths:
            number = np.zeros(len(operations), np.int64)
            for edge in path:
                digit = digits[operations[:, edge]]
                number = np.where(digit > 0, number * base + digit, number)
            counts[np.arange(len(operations)), number] += (operations[:, path] != self.none).all(axis=1)
        return counts
