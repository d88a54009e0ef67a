"""The strategies that comparisons run: this project's, and another tool's beside them."""

from nas import strategies
from nas.strategy import Strategy
from search_spaces.errors import InputError

COMPARED = (
    "predictor_guided",
    "regularized_evolution",
    "ofa_evolution",
    "nsga2",
    "local_search",
    "reinforce",
    "ppo",
    "q_learning",
    "random_search",
    "optuna_nsga2",
    "pymoo_nsga2",
)
"""Without those that take minutes for a search of some hundred networks, such as optuna_tpe and optuna_gp."""


def load(name: str) -> Strategy:
    """Return a strategy of this project by its name, or `pymoo_nsga2`.

    Raises:
        InputError: there is no such strategy, or pymoo is not installed.
    """
    if name != "pymoo_nsga2":
        return strategies.load(name)
    try:
        from experiments.pymoo_nsga2 import PymooNSGA2
    except ModuleNotFoundError:
        raise InputError(
            "strategy pymoo_nsga2 takes pymoo: pip install '.[benchmarks]', or leave it out of --strategies"
        ) from None
    return PymooNSGA2()
