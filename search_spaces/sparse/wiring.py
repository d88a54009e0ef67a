"""How the blocks of a point-voxel U-Net (SPVCNN; Tang et al., ECCV 2020) are wired."""

from collections.abc import Mapping

from torch import Tensor, nn

from search_spaces.sparse.forms import AVERAGING, INTERPOLATION

Lists = Mapping[str, Tensor]
"""The network's inputs by name."""


class PointVoxelUNet(nn.Module):
    """A U-Net of voxels with the points beside it: modules by slot, inputs by name."""

    def __init__(self, modules: Mapping[str, nn.Module], names: tuple[str, ...], n_stages: int, middle: int) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        self.names, self.n_stages, self.middle = names, n_stages, middle

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return logits (points, classes); the inputs are those of `SparsePointVoxelSpace.inputs`."""
        lists = dict(zip(self.names, inputs, strict=True))
        x = self._convolve("stem1", lists, 0, self._to_voxels("voxelise", lists, 0, lists["points"]))
        levels = [self._convolve("stem2", lists, 0, x)]
        points = self._to_points("to_points0", lists, 0, levels[0], lists["points"])
        x = self._to_voxels("to_voxels0", lists, 0, points)
        for level in range(1, self.n_stages + 1):
            x = self._move(f"down{level}_transition", lists, level, x, lists[f"n_points_{1 << level}"])
            x = self._residuals(f"down{level}", lists, level, x)
            levels.append(x)
        points = self._to_points("to_points1", lists, self.n_stages, x, self._run("transform1", points))
        x = self._to_voxels("to_voxels1", lists, self.n_stages, points)
        for number in range(1, self.n_stages + 1):
            level = self.n_stages - number
            x = self._move(f"up{number}_transition", lists, level + 1, x)
            x = self._residuals(f"up{number}", lists, level, x, levels[level])
            if level == self.middle:
                points = self._to_points("to_points2", lists, level, x, self._run("transform2", points))
                x = self._to_voxels("to_voxels2", lists, level, points)
        points = self._to_points("to_points3", lists, 0, x, self._run("transform3", points))
        return self._run("classifier", points)

    def _residuals(self, name: str, lists: Lists, level: int, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Run one residual block after the other; the first is given the concatenation of x and `skip`."""
        number = 1
        while f"{name}_block{number}_conv1" in self._modules:
            block = f"{name}_block{number}"
            short, joined = x, None
            if number == 1 and skip is not None:
                short = self._run(f"{block}_shortcut", x, self._run(f"{block}_shortcut_skip", skip))
                joined = self._convolve(f"{block}_skip", lists, level, skip)
            elif f"{block}_shortcut" in self._modules:
                short = self._run(f"{block}_shortcut", x)
            middle = self._convolve(f"{block}_conv1", lists, level, x, joined)
            x = self._convolve(f"{block}_conv2", lists, level, middle, short)
            number += 1
        return x

    def _convolve(self, name: str, lists: Lists, level: int, x: Tensor, addend: Tensor | None = None) -> Tensor:
        stride = 1 << level
        return self._run(name, x, lists[f"neighbours_{stride}"], lists[f"neighbour_counts_{stride}"], addend)

    def _move(self, name: str, lists: Lists, level: int, x: Tensor, *like: Tensor) -> Tensor:
        """Go down to a level, or up from it."""
        return self._run(name, x, lists[f"children_{1 << level}"], lists[f"child_counts_{1 << level}"], *like)

    def _to_voxels(self, name: str, lists: Lists, level: int, points: Tensor) -> Tensor:
        return self._run(name, points, *(lists[f"{kind}_{1 << level}"] for kind in AVERAGING))

    def _to_points(self, name: str, lists: Lists, level: int, x: Tensor, points: Tensor) -> Tensor:
        return self._run(name, x, *(lists[f"{kind}_{1 << level}"] for kind in INTERPOLATION), points)

    def _run(self, name: str, *inputs: Tensor | None) -> Tensor:
        y: Tensor = getattr(self, name)(*inputs)
        return y
