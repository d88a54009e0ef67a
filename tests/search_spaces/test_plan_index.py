"""The arrays of a plan index say what the plans say, on made-up spaces that hide their dependences."""

import dataclasses
import itertools
import pickle
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from search_spaces import exploration
from search_spaces.block import Block, Plan, TensorSpec
from search_spaces.plan_index import PlanIndex, Population


@dataclasses.dataclass(frozen=True)
class Numbered(Block):
    number: int

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec((1,)),)

    @property
    def output(self) -> TensorSpec:
        return TensorSpec((1,))

    def build(self) -> nn.Module:
        return nn.Identity()


@dataclasses.dataclass(frozen=True)
class MadeUp:
    """A space whose slot i holds the block of a number, or none, found in a table over the choices of its scope."""

    n_options: tuple[int, ...]
    scopes: tuple[tuple[int, ...], ...]
    numbers: tuple[tuple[int | None, ...], ...]

    def plan(self, row: Sequence[int]) -> Plan:
        plan: Plan = {}
        for slot, (scope, numbers) in enumerate(zip(self.scopes, self.numbers, strict=True)):
            entry = 0
            for choice in scope:
                entry = entry * self.n_options[choice] + row[choice]
            if (number := numbers[entry]) is not None:
                plan[f"slot{slot}"] = Numbered(number)
        return plan

    @property
    def rows(self) -> Population:
        return np.array(list(itertools.product(*map(range, self.n_options))), dtype=np.int64)

    @property
    def index(self) -> PlanIndex:
        return PlanIndex(self.n_options, self.plan)


@st.composite
def made_up(draw: st.DrawFn) -> MadeUp:
    n_options = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    choices = st.sets(st.integers(0, len(n_options) - 1), max_size=3).map(lambda scope: tuple(sorted(scope)))
    scopes = tuple(draw(st.lists(choices, min_size=1, max_size=4)))
    sizes = [int(np.prod([n_options[choice] for choice in scope], dtype=int)) for scope in scopes]
    number = st.none() | st.integers(0, 2)
    numbers = tuple(tuple(draw(st.lists(number, min_size=size, max_size=size))) for size in sizes)
    return MadeUp(n_options, scopes, numbers)


def boolean(n: int, *formulas: Callable[..., object]) -> MadeUp:
    """Return a space of n yes-or-no choices, with one slot a formula of them: present where it holds."""
    rows = list(itertools.product((False, True), repeat=n))
    scope = tuple(range(n))
    return MadeUp(
        (2,) * n, (scope,) * len(formulas), tuple(tuple(0 if f(*r) else None for r in rows) for f in formulas)
    )


def blocks_of(index: PlanIndex, ids: Sequence[int]) -> Plan:
    return {slot: index.blocks[i] for slot, i in zip(index.slots, ids, strict=True) if i >= 0}


def values_of(index: PlanIndex, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(seed).random(len(index.blocks))


ALL_OF_SEVEN = boolean(7, lambda a, b, c, *_: a and b and c, lambda *abc: all(abc))
UNEQUAL = boolean(2, lambda a, b: a != b)
EITHER = boolean(3, lambda a, b, c: a or b, lambda a, b, c: c)
IDLE_WHERE_OTHERS_DIFFER = boolean(3, lambda a, b, c: a, lambda a, b, c: b, lambda a, b, c: c and a == b)
DEAD_CHOICES = MadeUp((3, 2, 4), ((1,),), ((5, 6),))
EQUAL_OPTIONS = MadeUp((4,), ((0,),), ((1, 2, 2, 1),))
ENTANGLED = MadeUp((2, 2, 2), ((0, 1), (1, 2), (0, 2)), ((0, 0, 0, 1), (0, 1, 1, 1), (0, 1, 0, 0)))
NOTHING = MadeUp((1,), ((),), ((None,),))
RIDDLES = [ALL_OF_SEVEN, UNEQUAL, EITHER, IDLE_WHERE_OTHERS_DIFFER, DEAD_CHOICES, EQUAL_OPTIONS, ENTANGLED, NOTHING]


@pytest.mark.parametrize("few", [1 << 14, 0], ids=["every architecture looked at", "a choice changed at a time"])
@given(space=made_up())
@example(space=ALL_OF_SEVEN)
def test_block_ids_are_the_plan(few: int, space: MadeUp) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exploration, "_FEW_ARCHITECTURES", few)
        index = space.index
    for row, ids in zip(space.rows, index.block_ids(space.rows), strict=True):
        assert blocks_of(index, ids) == space.plan(row)


@given(made_up(), st.sampled_from([np.int8, np.uint8, np.int64]))
@example(NOTHING, np.int64)
def test_sums_and_maxima_are_those_over_plans(space: MadeUp, dtype: type[np.integer]) -> None:
    index, rows = space.index, space.rows
    values = values_of(index)
    value_of = dict(zip(index.blocks, values, strict=True))
    held = [[value_of[block] for block in space.plan(row).values()] for row in rows]
    assert index.summed(values)(rows.astype(dtype)) == pytest.approx([sum(v) for v in held], abs=1e-9, rel=0)
    assert index.largest(values)(rows.astype(dtype)).tolist() == [max(v, default=0.0) for v in held]


def test_sums_over_more_rows_than_a_chunk_and_over_none() -> None:
    index, rows = ALL_OF_SEVEN.index, ALL_OF_SEVEN.rows
    sums = index.summed(values_of(index))
    assert sums(np.tile(rows, (200, 1))) == pytest.approx(np.tile(sums(rows), 200), abs=1e-12)
    assert sums(rows[:0]).shape == (0,)


def check_canonical(space: MadeUp) -> None:
    index, rows = space.index, space.rows
    plans = [space.plan(row) for row in rows]
    canonical = index.canonical(rows)
    assert [space.plan(row) for row in canonical] == plans
    assert np.array_equal(index.canonical(canonical), canonical)
    assert len(np.unique(canonical, axis=0)) == len({tuple(plan.items()) for plan in plans}) == index.count()


@pytest.mark.parametrize("space", RIDDLES, ids=range(len(RIDDLES)))
def test_canonical_rows_of_riddles_are_those_of_their_plans(space: MadeUp) -> None:
    check_canonical(space)


@given(made_up())
@example(ENTANGLED)
def test_canonical_rows_and_their_count_are_those_of_the_plans(space: MadeUp) -> None:
    check_canonical(space)


def test_canonical_rows_are_the_first_of_their_plan() -> None:
    assert EITHER.index.canonical(np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]])).tolist() == [
        [0, 1, 1],
        [0, 1, 0],
        [0, 0, 1],
    ]


def test_what_blocks_exclude_only_together_is_told_where_the_choices_are_too_many_to_look_at() -> None:
    chain = tuple((choice, choice + 1) for choice in range(2, 17))
    index = MadeUp((2,) * 18, (*ENTANGLED.scopes, *chain), (*ENTANGLED.numbers, *[(0, 1, 2, 3)] * len(chain))).index
    with pytest.raises(ValueError, match="too entangled for a canonical form"):
        index.canonical(np.random.default_rng(0).integers(2, size=(100, 18)))
    with pytest.raises(ValueError, match="too entangled for a canonical form"):
        index.count()


def test_a_dependence_that_two_rare_options_hide_is_found() -> None:
    def plan(row: Sequence[int]) -> Plan:
        extra = {"guest": Numbered(1)} if row[1] == 2 and row[4] == 5 else {}
        return {"stem": Numbered(row[0]), "late": Numbered(row[2] if row[1] == 3 and row[4] == 7 else -1), **extra}

    index = PlanIndex((10,) * 6, plan)
    assert dict(zip(index.slots, index.depends, strict=True)) == {"stem": (0,), "late": (1, 2, 4), "guest": (1, 4)}
    rows = np.random.default_rng(0).integers(10, size=(1000, 6))
    rows[:500, 1], rows[:500, 4] = 3, 7
    rows[500:700, 1], rows[500:700, 4] = 2, 5
    for row, ids in zip(rows, index.block_ids(rows), strict=True):
        assert blocks_of(index, ids) == plan(row)
    assert index.count() == 10 * (1 + 10 + 1)


@pytest.mark.parametrize("n_options", [(2,), (3, 4), (4,) * 6])
def test_a_plan_that_differs_from_call_to_call_is_caught(n_options: tuple[int, ...]) -> None:
    calls = itertools.count()
    with pytest.raises(ValueError, match="differs from call to call"):
        PlanIndex(n_options, lambda row: {"stem": Numbered(next(calls) % 3)})


def test_a_block_of_too_many_choices_is_refused() -> None:
    with pytest.raises(ValueError, match="'stem' depends on too many choices"):
        PlanIndex((5,) * 12, lambda row: {"stem": Numbered(sum(row))})


def test_an_index_is_plain_data() -> None:
    again = pickle.loads(pickle.dumps(ALL_OF_SEVEN.index))
    assert again.count() == ALL_OF_SEVEN.index.count()
