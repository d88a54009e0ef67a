"""What strategies that descend shared weights have in common: what they refuse, and how a descent is told apart."""

from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from nas.strategy import Strategy
from nas.training.checkpoint import content_of
from search_spaces.errors import InputError

if TYPE_CHECKING:
    from nas.training.joint_descent import JointDescent


class WeightSearch(Strategy):
    """Descends a copy of the supernet's weights, and what chooses among their networks, before it proposes any."""

    searches_weights = True

    def _begin(self) -> None:
        for objective in self.objectives:
            if objective.costs:
                raise InputError(
                    f"a strategy that descends weights lowers the cross entropy and knows nothing of "
                    f"{objective.metric} and {', '.join(objective.costs)} in one: bound the cost instead"
                )
        super()._begin()

    def _descend(self, descent: "JointDescent", folder: str = "", **told: Any) -> None:
        """Run a descent, or go on with it, in a folder of the search's directory.

        Args:
            descent: of this strategy.
            folder: the directory itself if empty.
            told: what tells the descent apart beside the strategy, its options, the bounds and the weights.

        Raises:
            InputError: the folder holds another descent, or one of other weights or within other bounds.
        """
        assert self.weights is not None, "a search refuses that before it begins"
        belongs_to = {
            "strategy": type(self).__name__,
            **asdict(self),  # type: ignore[call-overload]
            **self._belongs_to,
            **told,
            "bounds": self.region.to_json(),
            "weights": sha256(content_of(self.weights.supernet)).hexdigest(),
        }
        descent.run(self._directory and self._directory / folder, belongs_to, progress=self._progress)
