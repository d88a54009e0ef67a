"""Batch normalisation where a batch is as many rows as its clouds have points or voxels, which may be one."""

from torch import Tensor, nn
from torch.nn import functional as F


class RowNorm(nn.BatchNorm1d):
    """Batch normalisation over rows; a single one, which has no variance, is normalised by running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x (rows, channels) normalised."""
        if self.training and len(x) == 1:
            momentum = self.momentum or 0.0  # for callers of torch who know of more rows than these
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, momentum=momentum, eps=self.eps
            )
        return super().forward(x)
