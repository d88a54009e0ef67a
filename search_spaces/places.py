"""The places of a chain: where in it a slot stands, and which slots are alternatives for one place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.elimination import Factor, join
from search_spaces.space import SearchSpace


@dataclass(frozen=True)
class Place:
    """One place of a chain.

    Attributes:
        slots: of which at most one is there in any architecture.
        may_be_empty: whether there is none in some.
    """

    slots: tuple[str, ...]
    may_be_empty: bool

    @property
    def is_mixed(self) -> bool:
        """Whether what stands here depends on the architecture by more than its sizes."""
        return len(self.slots) > 1 or self.may_be_empty


def in_order(space: SearchSpace) -> list[str]:
    """Return all slots of a space in an order that fits its plans: those of the largest network, others among them."""
    last = space.n_options - 1
    order = list(space.plan(space.largest()))
    for slot, scope, table in zip(space.index.slots, space.index.depends, space.index.tables, strict=True):
        if slot not in order:
            row = last.copy()
            row[list(scope)] = np.argwhere(table >= 0)[-1]
            plan = list(space.plan(space.decode(row[None])[0]))
            before = [earlier for earlier in plan[: plan.index(slot)] if earlier in order]
            order.insert(order.index(before[-1]) + 1 if before else 0, slot)
    return order


def places(space: SearchSpace) -> list[Place]:
    """Return the places of a space whose networks are chains: slots beside each other that are never there together."""
    index = space.index
    present = {
        slot: Factor(scope, table >= 0)
        for slot, scope, table in zip(index.slots, index.depends, index.tables, strict=True)
    }
    groups: list[list[str]] = []
    for slot in in_order(space):
        if groups and all(_exclude_each_other(present[slot], present[other]) for other in groups[-1]):
            groups[-1].append(slot)
        else:
            groups.append([slot])
    return [Place(tuple(group), not _one_is_there([present[slot] for slot in group])) for group in groups]


def _exclude_each_other(a: Factor, b: Factor) -> bool:
    if not set(a.choices) & set(b.choices):
        return not (a.values.any() and b.values.any())
    return not join([a, b], np.logical_and).values.any()


def _one_is_there(present: Sequence[Factor]) -> bool:
    return bool(join(present, np.logical_or).values.all())
