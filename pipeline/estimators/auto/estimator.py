"""The choice of an estimator by dimension, width and a short measurement.

An exact operator adds no variance to the loss, so it is taken wherever it applies and a step costs
at most `max_slowdown` times one with sampled axes: up to `sampled_axes` dimensions from all axes,
above that through the Gram matrix. Otherwise the choice is SDGD.
"""

from collections.abc import Mapping
from contextlib import suppress

from torch import nn

from pipeline.errors import ConfigError
from pipeline.estimators.auto import config
from pipeline.estimators.base import Estimator
from pipeline.estimators.exact_gram import estimator as exact_gram
from pipeline.estimators.exact_gram.config import ExactGram
from pipeline.estimators.sdgd import estimator as sdgd
from pipeline.estimators.sdgd.config import SDGD
from pipeline.problems.base import Problem

Candidates = dict[str, tuple[SDGD | ExactGram, Estimator]]


def build(config: config.Auto, problem: Problem, network: nn.Module) -> Estimator:
    """Refuse: `pipeline.training.pinn.choice` puts another kind in the place of this one.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        "estimator.kind: expected the estimator that was chosen, got 'auto'; train by"
        " pipeline.training.stage, which measures and chooses"
    )


def candidates(settings: config.Auto, problem: Problem, network: nn.Module) -> Candidates:
    """Return the estimators that apply, each with its configuration, by kind."""
    dim = problem.operator.dim
    axes = SDGD(kind="sdgd", sampled_axes=min(settings.sampled_axes, dim))
    found: Candidates = {"sdgd": (axes, sdgd.build(axes, problem, network))}
    # Up to there SDGD takes all axes and is exact, so that there is nothing to compare.
    if dim > settings.sampled_axes:
        gram = ExactGram(kind="exact_gram")
        # Its `build` knows for which networks and operators it is exact, and refuses the others.
        with suppress(ConfigError):
            found["exact_gram"] = (gram, exact_gram.build(gram, problem, network))
    return found


def choose(settings: config.Auto, milliseconds: Mapping[str, float]) -> str:
    """Return the kind to take, given the time of a step with each candidate."""
    exact = milliseconds.get("exact_gram")
    if exact is not None and exact <= settings.max_slowdown * milliseconds["sdgd"]:
        return "exact_gram"
    return "sdgd"
