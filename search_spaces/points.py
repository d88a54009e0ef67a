"""Point clouds on the way into a network."""

from dataclasses import dataclass

from torch import Tensor

from search_spaces.errors import InputError


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

    def require_usable(self) -> None:
        """Raise unless every cloud has points, and all of them are finite."""
        n_points = self.cloud.bincount(minlength=self.n_clouds)
        if not self.n_clouds or not n_points.all():
            empty = int((n_points == 0).nonzero()[0]) if self.n_clouds else 0
            raise InputError(f"cloud {empty} has no points: leave it out")
        finite = self.coordinates.isfinite().all(1) & self.features.isfinite().all(1)
        if not finite.all():
            point = int((~finite).nonzero()[0])
            found = self.coordinates[point].tolist() + self.features[point].tolist()
            raise InputError(f"point {point} is {found}: every coordinate and feature must be finite; leave it out")

    def require_features(self, n: int) -> None:
        """Raise unless points have the features that a network reads."""
        if self.features.shape[1] != n:
            raise InputError(
                f"points with {self.features.shape[1]} features for a network of in_channels {n}: "
                "give the space the data's number"
            )
