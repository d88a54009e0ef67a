"""Point clouds on their way into training: fewer points, turned about the vertical axis, scaled, mirrored."""

import math

import torch
from torch import Tensor

from nas.data.options import Augmentation


def augment(
    points: Tensor, cloud: Tensor, n_clouds: int, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    """Turn and scale every cloud as SPVNAS's published training does, and mirror half of them along x, half along y.

    Args:
        points: float tensor (N, 4): x, y, z and what else there is, which is left as it is.
        cloud: int64 tensor (N,): the number of each point's cloud.
        n_clouds: how many there are.
        augmentation: how far clouds are turned and scaled, and whether they are mirrored: yes, if it is not said.
        generator: on the processor; the result depends on its state alone.

    Returns:
        A tensor of the same shape and device.
    """
    draws = torch.rand(4, n_clouds, generator=generator)
    angle = (2 * draws[0] - 1) * math.radians(augmentation.rotation)
    scale = 1 + (2 * draws[1] - 1) * augmentation.scale
    mirror = torch.where(draws[2:] < 0.5, -1.0, 1.0) if augmentation.flip is not False else torch.ones(2, n_clouds)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    # the columns by which x and y of the result are made of x and y: turned, scaled, then mirrored
    x_from_x, x_from_y, y_from_x, y_from_y, scale = (
        row.to(points.device)[cloud]
        for row in (mirror[0] * cos, -mirror[0] * sin, mirror[1] * sin, mirror[1] * cos, scale)
    )
    x, y, z = points[:, :3].unbind(1)
    moved = torch.stack([x_from_x * x + x_from_y * y, y_from_x * x + y_from_y * y, scale * z], 1)
    return torch.cat([moved, points[:, 3:]], 1)


def thinned(labelled: Tensor, at_most: int, generator: torch.Generator) -> Tensor:
    """Return the rows, ascending int64 (M,), of a cloud's points that remain if it has too many, drawn at random.

    One with a label is among them: of points that all lack one, no loss can be computed.

    Args:
        labelled: bool (N,), which points have a label; at least one has.
        at_most: so many remain.
        generator: on the processor; the result depends on its state alone.
    """
    n_points = len(labelled)
    if n_points <= at_most:
        return torch.arange(n_points)
    order = torch.randperm(n_points, generator=generator)
    kept = order[:at_most]
    if not labelled[kept].any():
        kept[-1] = order[labelled[order]][0]
    return kept.sort().values
