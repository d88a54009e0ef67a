"""REINFORCE with a recurrent controller (Zoph and Le, ICLR 2017; Williams, Machine Learning 1992)."""

from pydantic.dataclasses import dataclass

from nas.controller import ControllerStrategy


@dataclass(config={"extra": "forbid"})
class Reinforce(ControllerStrategy):
    """Follows the gradient of the expected reward.

    Entropy is rewarded, too (as Pham et al., ICML 2018, do), or a policy settles on what it found first.
    """
