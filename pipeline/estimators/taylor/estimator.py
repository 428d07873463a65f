"""STDE's estimator along sparse directions: another name for SDGD with collapsed Taylor mode.

STDE (Shi, Hu, Lin, Kawaguchi, NeurIPS 2024) pushes random jets through the network; with its
sparse directions these are basis vectors drawn without replacement, shared by the batch, and the
sum is scaled by d/b. SDGD's index sets have the same distribution, so the two estimates agree; they
differ in how they differentiate (STDE: one jet a direction; here: one collapsed jet for all).
STDE's dense directions are the estimator `hutchinson`.
"""

from torch import nn

from pipeline.estimators.base import Estimator
from pipeline.estimators.sdgd.estimator import SDGD
from pipeline.estimators.taylor import config
from pipeline.problems.base import Problem


def build(config: config.Taylor, problem: Problem, network: nn.Module) -> Estimator:
    """Return SDGD with `num_directions` axes."""
    return SDGD(config.num_directions)
