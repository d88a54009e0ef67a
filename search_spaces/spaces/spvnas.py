"""SPVNAS's space of point-voxel networks (Tang et al., ECCV 2020): elastic widths and depth of every stage."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic.dataclasses import dataclass

from search_spaces.space import Choice
from search_spaces.sparse.network import SparsePointVoxelSpace, Stage, Widths

Bounds = tuple[int, int]
"""The fewest channels and the most."""


@dataclass(frozen=True, config={"extra": "forbid"})
class SPVNAS(SparsePointVoxelSpace):
    """Four stages down and four up, each a transition and one or two residual blocks: 7.05e27 networks.

    Channels behind a stage go in steps of 16 between the published bounds. Those behind a transition and within a
    residual block go from an eighth of the most to all, as published, here in seven steps, among them SPVCNN's. Every
    option is drawn as often as any other; the published sampler rounds down, and so hardly ever draws the widest.
    """

    name: ClassVar[str] = "spvnas"
    stem: ClassVar[int] = 32
    down: ClassVar[tuple[Bounds, ...]] = ((16, 48), (32, 96), (64, 192), (128, 384))
    up: ClassVar[tuple[Bounds, ...]] = ((128, 384), (64, 192), (48, 128), (48, 128))
    shares: ClassVar[tuple[float, ...]] = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 2 / 3, 3 / 4, 1)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """For each stage the channels behind it and its transition, its depth, the channels within its blocks."""
        choices = []
        before = self.stem
        for name, (fewest, most) in [*_named("down", self.down), *_named("up", self.up)]:
            transition = before if name.startswith("down") else most
            choices += [
                Choice(f"{name}_channels", tuple(range(fewest, most + 1, 16))),
                Choice(f"{name}_transition", self._up_to(transition)),
                Choice(f"{name}_depth", (1, 2)),
                Choice(f"{name}_middle1", self._up_to(most)),
                Choice(f"{name}_middle2", self._up_to(most)),
            ]
            before = most
        return tuple(choices)

    def _up_to(self, most: int) -> tuple[int, ...]:
        """Return the shares of the most channels there may be, in multiples of four as published."""
        return tuple(round(most * share) // 4 * 4 for share in self.shares)

    def widths(self, options: Mapping[str, Any]) -> Widths:
        def stage(name: str) -> Stage:
            middles = (options[f"{name}_middle{block}"] for block in range(1, options[f"{name}_depth"] + 1))
            return Stage(options[f"{name}_transition"], tuple(middles), options[f"{name}_channels"])

        down = tuple(stage(name) for name, _ in _named("down", self.down))
        return Widths(self.stem, down, tuple(stage(name) for name, _ in _named("up", self.up)))


def _named(way: str, stages: tuple[Bounds, ...]) -> list[tuple[str, Bounds]]:
    return [(f"{way}{number}", bounds) for number, bounds in enumerate(stages, 1)]
