"""Errors of a model beside those of what is known without learning."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor


class RelativeErrors(NamedTuple):
    """Relative L2 errors of a model and of the trivial predictor; skill is their quotient."""

    model: float
    trivial: float
    skill: float


def relative_errors(chunks: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> RelativeErrors:
    """Return the relative L2 errors of the model and of the best a + C b over all chunks.

    Each chunk is (exact u, predicted u, a, b), all (n,). The trivial predictor is a + C b with the
    least squares C = <u - a, b> / <b, b>, fitted on the same points: the error is a lower bound for
    its kind; b = 0 leaves a. Skill = trivial / model; at most 1 means that nothing was learnt.
    """
    uu = rr = rb = bb = ee = 0.0
    for exact, predicted, a, b in chunks:
        u, b = exact.double(), b.double()
        rest = u - a.double()
        uu += float(u @ u)
        rr += float(rest @ rest)
        rb += float(rest @ b)
        bb += float(b @ b)
        ee += float((predicted.double() - u).square().sum())
    explained = rb * rb / bb if bb > 0 else 0.0
    trivial = math.sqrt(max(rr - explained, 0.0) / uu)
    model = math.sqrt(ee / uu)
    return RelativeErrors(model, trivial, trivial / model if model > 0 else math.inf)
