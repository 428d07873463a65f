"""Runs beside published numbers of the same problem, and what differs in how they were obtained."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.aggregate import published
from pipeline.aggregate.describe import estimator_title
from pipeline.aggregate.published import Published
from pipeline.aggregate.read.quantities import percent, short
from pipeline.aggregate.read.results import Results, RunResult
from pipeline.aggregate.sections.base import Row
from pipeline.estimators.taylor.config import Taylor
from pipeline.optimizers.adam.config import Adam
from pipeline.optimizers.kaczmarz.config import Kaczmarz
from pipeline.problems.two_body.config import TwoBody
from pipeline.training.pinn.config import PinnRun
from pipeline.wording import number, phrases

NAME, LINK = "comparison", None
_DECAYS = {"cosine": "falls by half a cosine", "linear": "falls linearly"}
# The fields of a two-body problem that are the same, or have a statement of their own.
_TOLD = frozenset({"equation", "dim", "coefficient_seed", "zero_sum", "radius_exponent"})
# They sample axes of the published set-up: the same numbers, computed differently.
_SAME_AXES = ("sdgd", "taylor", "jet", "double_backward")


def build(results: Results) -> Row | None:
    """Return a row for each run with published numbers of its problem."""
    compared = ((run, comparison(run)) for run in results.runs)
    rows = [_row(run, found) for run, found in compared if found is not None]
    return {"rows": rows} if rows else None


@dataclass(frozen=True)
class Comparison:
    """Published numbers of a run's problem, what they are of, and what differs from this run.

    `trivial_error` is that of the trivial predictor on their problem (typical, asymptotic).
    """

    quantity: str
    numbers: list[Published]
    differences: list[str]
    trivial_error: float | None = None


def comparison(run: RunResult) -> Comparison | None:
    """Return the published numbers of the problem that `run` solves, or None if there are none."""
    if not isinstance(run.config, PinnRun):
        return None
    problem = run.config.problem
    if errors := published.relative_errors(problem):
        trivial = published.trivial_error(problem.dim)
        return Comparison("relative_l2", errors, differences(run.config), trivial)
    # A problem with more than its equation and dimension has no published value yet.
    is_plain = not list(phrases(problem, without=_TOLD))
    if is_plain and (value := published.value(problem)):
        return Comparison("value", [value], _of_a_value(run.record["summary"]))
    return None


def differences(run: PinnRun) -> list[str]:
    """Return what differs between a two-body run and the published ones, one statement each.

    Read off the configuration: every setting that shapes the result is compared with that of
    `published.protocol`. The first two statements hold for every run.
    """
    assert isinstance(run.problem, TwoBody)
    theirs = published.protocol(run.problem)
    return [
        *_solution(run.problem),
        *_model(run, theirs),
        *_operator(run, theirs),
        *_training(run, theirs),
    ]


def _solution(problem: TwoBody) -> Iterator[str]:
    if problem.zero_sum:
        yield "Σc = 0, which is harder: theirs is not centred, so that C (1 − |x|²) comes close"
    else:
        yield "another draw of c from the same law: theirs is unknown"
    yield "the final error; theirs is the best over the run, on the test set"
    if problem.radius_exponent != 1.0:
        yield f"training points at radius U^{number(problem.radius_exponent)}; theirs at U"
    # What is new in the configuration is told, too.
    yield from phrases(problem, without=_TOLD)


def _model(run: PinnRun, theirs: PinnRun) -> Iterator[str]:
    mine, other = run.model, theirs.model
    if _stays_zero(run):
        yield (
            f"a {mine.skip} polynomial, its derivatives in closed form; theirs a network,"
            f" {_axes(theirs)} sampled axes"
        )
        return
    if mine.skip != "none":
        yield f"a {mine.skip} polynomial beside the network; theirs a network alone"
    if (mine.width, mine.depth) != (other.width, other.depth):
        yield f"network {mine.width} × {mine.depth}; theirs {other.width} × {other.depth}"


def _operator(run: PinnRun, theirs: PinnRun) -> Iterator[str]:
    if _stays_zero(run):
        return
    if run.estimator.kind not in _SAME_AXES or _axes(run) != _axes(theirs):
        yield f"{estimator_title(run)}; theirs {_axes(theirs)} axes"
    if run.train.index_sets > 1:
        yield f"{run.train.index_sets} independent sets of axes a step; theirs one"
    if run.train.loss == "unbiased":
        yield "unbiased loss, from independent sets of axes; theirs from one set"


def _training(run: PinnRun, theirs: PinnRun) -> Iterator[str]:
    mine, other = run.train, theirs.train
    if isinstance(mine.optimizer, Kaczmarz):
        then = "" if _stays_zero(run) else ", then Adam for the network"
        yield f"natural-gradient steps (block Kaczmarz){then}; theirs Adam"
    elif mine.optimizer != other.optimizer:
        assert isinstance(other.optimizer, Adam)
        decays = _DECAYS[mine.optimizer.decay], _DECAYS[other.optimizer.decay]
        if decays[0] != decays[1]:
            yield f"the learning rate {decays[0]}; theirs {decays[1]}"
        if (fraction := mine.optimizer.first_layer_rate) != 1.0:
            yield f"the first layer at {number(fraction)} of the rate; theirs at all of it"
    # The learning rate is the network's.
    if not _stays_zero(run) and mine.learning_rate != other.learning_rate:
        rates = number(mine.learning_rate), number(other.learning_rate)
        yield f"learning rate {rates[0]}; theirs {rates[1]}"
    for key, what in (
        ("num_steps", "steps"),
        ("batch_size", "points a step"),
        ("num_test_points", "test points"),
    ):
        if getattr(mine, key) != getattr(other, key):
            yield f"{getattr(mine, key):,} {what}; theirs {getattr(other, key):,}"
    if mine.early_stopping is not None:
        yield "ends when the residual at held-out points stops falling; theirs after all steps"
    if mine.precision != other.precision:
        yield f"{mine.precision}; theirs {other.precision}"
    if run.initial_checkpoint is not None:
        yield "starts from a checkpoint; theirs from random weights"


def _stays_zero(run: PinnRun) -> bool:
    """Return whether the network takes no part: neither do its estimator and learning rate."""
    optimizer = run.train.optimizer
    return isinstance(optimizer, Kaczmarz) and optimizer.network_after == 1.0


def _axes(run: PinnRun) -> int:
    """Return the number of sampled axes; 0 for estimators that sample none."""
    estimator = run.estimator
    if isinstance(estimator, Taylor):
        return estimator.num_directions
    return getattr(estimator, "sampled_axes", 0)


def _of_a_value(summary: Row) -> list[str]:
    found = ["a value, not a network's error: our error refers to it"]
    if known := summary.get("reference_error"):
        found.append(f"known to {percent(known)} only")
    return found


def _row(run: RunResult, found: Comparison) -> Row:
    summary = run.record["summary"]
    is_value = found.quantity == "value"
    return {
        "name": run.name,
        "quantity": "u(0.3, 0)" if is_value else "relative L²",
        "ours": short(float(run.prediction["prediction"][0]), 5)
        if is_value
        else percent(summary["relative_l2"]),
        "published": [
            printed if is_value else replace(printed, value=percent(float(printed.value)))
            for printed in found.numbers
        ],
        "sources": sorted({printed.source for printed in found.numbers}),
        "skill": short(summary.get("skill")),
        "trivial": percent(summary.get("trivial_relative_l2")),
        "trivial_theirs": f"≈ {short(100 * found.trivial_error, 2)}%"
        if found.trivial_error
        else None,
        "differences": found.differences,
    }
