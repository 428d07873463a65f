"""SDGD for any torch module: nested forward-mode derivatives of the network as a whole."""

from torch import nn

from pipeline.estimators.base import Estimator
from pipeline.estimators.jet import config
from pipeline.estimators.sdgd.estimator import SDGD
from pipeline.problems.base import Problem


def build(config: config.Jet, problem: Problem, network: nn.Module) -> Estimator:
    """Return SDGD that uses nothing of the network's structure; `sdgd` falls back to the same.

    The module must be differentiable twice by `torch.func.jvp`. Cost: about four forward passes an
    axis.
    """
    return SDGD(config.sampled_axes, collapse=False)
