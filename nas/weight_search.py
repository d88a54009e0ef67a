"""What strategies that descend shared weights have in common: what they refuse, and how a descent is told apart."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nas.strategy import Strategy
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
            told: what tells the descent apart beside the strategy and its options.
        """
        belongs_to = {"strategy": type(self).__name__, **asdict(self), **self._belongs_to, **told}  # type: ignore[call-overload]
        descent.run(self._directory and self._directory / folder, belongs_to, progress=self._progress)
