"""Point clouds on the way into a network."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class PointClouds:
    """Some clouds in one.

    Attributes:
        coordinates: float32 tensor (N, 3), in metres.
        features: float32 tensor (N, F).
        cloud: int64 tensor (N,), ascending: the number of the cloud that each point is of.
        n_clouds: how many clouds there are.
    """

    coordinates: Tensor
    features: Tensor
    cloud: Tensor
    n_clouds: int

    def __len__(self) -> int:
        return len(self.coordinates)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.coordinates.nbytes + self.features.nbytes + self.cloud.nbytes
