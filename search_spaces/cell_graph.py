"""A cell whose edges each hold one operation: which of them can matter, and how deep the cell is along its paths."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Edge = tuple[int, int]
"""The node that an edge reads and the node that it is added to."""


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

    def paths(self, node: int = 0) -> Iterator[tuple[int, ...]]:
        """Yield every path from a node to the last one, as numbers of edges."""
        if node == max(target for _, target in self.edges):
            yield ()
        for i, (source, target) in enumerate(self.edges):
            if source == node:
                yield from ((i, *rest) for rest in self.paths(target))

    def live(self, operations: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return operations (N, edges) without those on no path from the first node to the last: they are none."""
        on_path = np.zeros(operations.shape, bool)
        for path in self.paths():
            edges = list(path)
            on_path[:, edges] |= (operations[:, edges] != self.none).all(axis=1)[:, None]
        return np.where(on_path, operations, self.none)

    def features(self, operations: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return (N, F) numbers that say what cells (N, edges) compute, dead edges apart.

        How often each operation occurs; how many paths there are; their operations, identities apart, on the shortest
        path and the longest; layers on the longest path and on all paths together; and for each kind of layer, the
        most on one path. After the path encoding of BANANAS (White et al., AAAI 2021), but in a few numbers.
        """
        live = self.live(operations)
        columns = [(live == kind).sum(axis=1) for kind in range(self.n_operations) if kind != self.none]
        paths = [live[:, list(path)] for path in self.paths()]
        open_ = np.stack([(path != self.none).all(axis=1) for path in paths], axis=1)
        lengths = np.stack([(path != self.identity).sum(axis=1) for path in paths], axis=1)
        of_kind = [np.stack([(path == kind).sum(axis=1) for path in paths], axis=1) * open_ for kind in self.layers]
        layers = np.sum([np.zeros_like(lengths), *of_kind], axis=0)
        shortest = np.where(open_, lengths, lengths.max(initial=0)).min(axis=1)
        columns += [open_.sum(axis=1), shortest * open_.any(axis=1), (lengths * open_).max(axis=1)]
        columns += [layers.max(axis=1), layers.sum(axis=1), *(kind.max(axis=1) for kind in of_kind)]
        return np.stack(columns, axis=1).astype(np.float64)
