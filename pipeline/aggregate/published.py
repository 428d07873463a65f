"""Published errors and values of the high-dimensional problems, and how they were obtained.

Everything here is quoted, nothing is computed by this project, but for `trivial_error`. Numbers are
decimal strings as printed. They are context, no gates: some tables of the source repeat each
other's rows, and their coefficients c are not known.

Sources:
    STDE: Z. Shi, Z. Hu, M. Lin, K. Kawaguchi, "Stochastic Taylor Derivative Estimator", NeurIPS
        2024, arXiv:2412.00088. Its errors of SDGD are its authors' runs.
    SDGD: Z. Hu, K. Shukla, G. Karniadakis, K. Kawaguchi, arXiv:2307.12306: problems and protocol.
    PICARD: Becker, Braunwarth, Hutzenthaler, Jentzen, von Wurstemberger, arXiv:2005.10206.
"""

import math
from dataclasses import dataclass

from pipeline.aggregate.read.quantities import Figure
from pipeline.estimators.sdgd.config import SDGD
from pipeline.networks.mlp.config import MLP
from pipeline.optimizers.adam.config import Adam
from pipeline.problems.parabolic.config import Parabolic
from pipeline.problems.parabolic.published import VALUES
from pipeline.problems.two_body.config import TwoBody
from pipeline.problems.union import AnyProblem
from pipeline.training.pinn.config import PinnRun, PinnTraining

STDE = "Shi et al., NeurIPS 2024, arXiv:2412.00088"
PICARD = "Becker et al., arXiv:2005.10206"


@dataclass(frozen=True)
class Published:
    """A published number: `value` as printed, `key` and `method` how it was found, and by whom."""

    value: str
    key: str
    method: str
    source: str

    def figure(self, quantity: str) -> Figure:
        """Return the number, which is a published value of `quantity`."""
        name = f"published_{quantity}@{self.key}"
        return Figure(name, float(self.value), kind="published", text=self.value)


_METHODS = {"sdgd": "SDGD in PyTorch", "stde": "STDE, V = 16"}
# Relative L2 errors of two-body problems, by equation, method and dimension.
_RELATIVE_L2 = {
    ("allen_cahn", "sdgd"): {
        100: "7.19e-3", 1000: "5.62e-4", 10_000: "1.86e-3", 100_000: "2.18e-3",
    },
    ("allen_cahn", "stde"): {
        100: "1.89e-2", 1000: "7.07e-4", 10_000: "8.33e-4", 100_000: "1.50e-3",
        1_000_000: "3.99e-3",
    },
    ("sine_gordon", "stde"): {
        100: "3.64e-3", 1000: "5.40e-4", 10_000: "5.32e-3", 100_000: "9.56e-4",
        1_000_000: "9.47e-4",
    },
}  # fmt: skip


def relative_errors(problem: AnyProblem) -> list[Published]:
    """Return the published relative L2 errors of the same equation, solution and dimension.

    "Same" but for the coefficients c of the solution, which were not published.
    """
    if not isinstance(problem, TwoBody):
        return []
    return [
        Published(errors[problem.dim], method, _METHODS[method], STDE)
        for (equation, method), errors in _RELATIVE_L2.items()
        if equation == problem.equation and problem.dim in errors
    ]


def value(problem: AnyProblem) -> Published | None:
    """Return the published value of the solution at one point, (0.3, 0), or None."""
    if not isinstance(problem, Parabolic):
        return None
    text = VALUES[problem.equation][problem.dim]
    return Published(text, "picard", "multilevel Picard iteration", PICARD)


def protocol(problem: TwoBody) -> PinnRun:
    """Return the run that comes closest to those of `relative_errors`, but for c.

    Adam, 10,000 steps with a rate that falls linearly, 100 fresh points a step at uniform radius,
    16 axes shared by them; c standard normal, not centred. Two things no run can have: their c, and
    that they report the best value on the test set over the run (here it is the final one).
    """
    return PinnRun(
        problem=TwoBody(
            kind="two_body", dim=problem.dim, equation=problem.equation, zero_sum=False
        ),
        model=MLP(kind="mlp", width=128, depth=4),
        estimator=SDGD(kind="sdgd", sampled_axes=16),
        train=PinnTraining(
            num_steps=10_000,
            learning_rate=1.0e-3,
            batch_size=100,
            num_test_points=20_000,
            optimizer=Adam(kind="adam", decay="linear"),
        ),
    )


def trivial_error(dim: int) -> float:
    """Return the median over c of the relative L2 error of the best C (1 - |x|²); asymptotic.

    Of two-body solutions with standard normal c that is not centred, to leading order in 1/√d. With
    r = |x| uniform and q = 1 - r², Σ ≈ √d (sin 1) Z + r √2 (cos 1) Y for standard normal Z and Y.
    The first part times q is learnt by C q; the second is left. So the error is k / (√d |Z|),
    k = √2 cot(1) √(E r²q² / E q²), and the median of |Z| is 0.6745. Half of all c lie within a
    factor of about 2, but every tenth error is above 5 times it.
    """
    # E r²q² and E q² for r uniform on [0, 1].
    second, first = 1 / 3 - 2 / 5 + 1 / 7, 8 / 15
    return math.sqrt(2.0 * second / (first * dim)) / math.tan(1.0) / 0.67449
