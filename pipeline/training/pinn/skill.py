"""Errors of a model beside those of what is known without learning."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class RelativeErrors(NamedTuple):
    """Relative L2 errors of a model and of the trivial predictor; skill is their quotient.

    The standard errors are those of a finite test set; None if one point is all there is.
    """

    model: float
    trivial: float
    skill: float
    model_standard_error: float | None
    skill_standard_error: float | None

    def figures(self) -> dict[str, float]:
        """Return `relative_l2` and `skill`, each with its `_standard_error` if there is one."""
        found = {
            "relative_l2": self.model,
            "relative_l2_standard_error": self.model_standard_error,
            "skill": self.skill,
            "skill_standard_error": self.skill_standard_error,
        }
        return {key: value for key, value in found.items() if value is not None}


def relative_errors(chunks: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> RelativeErrors:
    """Return the relative L2 errors of the model and of the best a + C b over all chunks.

    Each chunk is (exact u, predicted u, a, b), all (n,). The trivial predictor is a + C b with the
    least squares C = <u - a, b> / <b, b>, fitted on the same points: the error is a lower bound for
    its kind; b = 0 leaves a. Skill = trivial / model; at most 1 means that nothing was learnt.
    Rounding apart, chunks do not matter. Standard errors: see `_relative_error`; the fit of C adds
    nothing to them in first order, since C minimises the error.
    """
    columns = [
        (u, predicted.double() - u, u - a.double(), b.double())
        for u, predicted, a, b in ((chunk[0].double(), *chunk[1:]) for chunk in chunks)
    ]
    # All points together, because C is one number for all chunks.
    u, error, rest, b = (torch.cat(parts) for parts in zip(*columns, strict=True))
    bb = float(b @ b)
    # Gram–Schmidt: what is left is the error of the best a + C b.
    rest = rest - (float(rest @ b) / bb if bb > 0 else 0.0) * b
    size, missed, known = u.square(), error.square(), rest.square()
    uu, ee, tt = (float(part.sum()) for part in (size, missed, known))
    model, trivial = math.sqrt(ee / uu), math.sqrt(tt / uu)
    skill = trivial / model if model > 0 else math.inf
    alone = len(u) < 2
    return RelativeErrors(
        model,
        trivial,
        skill,
        None if alone else model * _relative_error(missed, size),
        None if alone or model == 0 else skill * _relative_error(known, missed),
    )


def _relative_error(a: Tensor, b: Tensor) -> float:
    """Return the standard error of (Σa / Σb)^½ relative to it, from independent pairs (a, b).

    By the delta method: pair i moves the logarithm by ½ (a_i / Σa - b_i / Σb), and these numbers
    have mean zero. Asymptotic in the number of points; 0 where a vanishes.
    """
    if float(a.sum()) == 0.0:
        return 0.0
    moves = a / a.sum() - b / b.sum()
    # n - 1 degrees of freedom, because the moves sum to zero.
    return 0.5 * float(moves.norm()) * math.sqrt(len(a) / (len(a) - 1))
