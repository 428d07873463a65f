"""Configuration of a physics-informed network."""

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from pipeline.estimators.union import AnyEstimator
from pipeline.kinds import File, kinds_with
from pipeline.limits import Repeats, Size, Steps, TestPoints
from pipeline.networks.union import AnyNetwork
from pipeline.optimizers.adam.config import Adam
from pipeline.optimizers.union import AnyOptimizer
from pipeline.problems.union import AnyProblem
from pipeline.training.config import EarlyStopping, Run, TrainSettings


class PinnTraining(TrainSettings):
    """Fresh collocation points at each step; `batch_size` of them over all workers.

    `loss` is the square of the estimated residual, or the product 2 stopgrad(R_J) R_K of two
    independent estimates, whose mean is the square of the exact one. `index_sets` independent
    estimates are averaged: the squares of all, or R_J. Workers `shard` the points of a step, or the
    axes: then each holds its coordinates of all points and its columns of the first layer only.
    With `compile` torch makes one program of a step's residual and its gradient (some seconds at
    the start, and a C++ compiler where there is no GPU): the same numbers up to rounding, sooner.
    """

    neutral: ClassVar[frozenset[str]] = TrainSettings.neutral | {"compile"}

    num_steps: Steps
    batch_size: Size = 100
    num_test_points: TestPoints = 20_000
    loss: Literal["squared", "unbiased"] = "squared"
    index_sets: Repeats = 1
    optimizer: AnyOptimizer = Adam(kind="adam")
    shard: Literal["points", "axes"] = "points"
    early_stopping: EarlyStopping | None = None
    compile: bool = False

    @property
    def stopping(self) -> EarlyStopping | None:
        """Return when to stop early, None for never."""
        return self.early_stopping

    def neutral_here(self) -> frozenset[str]:
        """Return what shapes no number: with early stopping, the evaluations decide on the end."""
        return self.neutral - {"evaluate_every"} if self.early_stopping else self.neutral


class PinnRun(Run):
    """A physics-informed network trained on the residual alone.

    Of `initial_checkpoint`, a path from the working directory, the weights found there count.
    """

    task: ClassVar[Literal["pinn", "operator"]] = "pinn"
    neutral: ClassVar[frozenset[str]] = frozenset({"initial_checkpoint"})
    stage_modules: ClassVar[tuple[str, ...]] = (
        "pipeline.training.stage",
        "pipeline.training.pinn.task",
    )

    problem: AnyProblem
    model: AnyNetwork
    estimator: AnyEstimator
    train: PinnTraining
    initial_checkpoint: File | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "PinnRun":
        key = self.estimator.axes_key
        sampled = getattr(self.estimator, key) if key else 0
        if sampled > self.problem.dim:
            raise ValueError(
                f"estimator.{key}: expected at most problem.dim={self.problem.dim}, got {sampled}"
            )
        if self.problem.is_mixed and self.model.skip != "none":
            raise ValueError(
                f"model.skip: expected none with problem.{self.problem.mixed_by}, whose mixed"
                f" derivatives the polynomial has not in closed form, got {self.model.skip}"
            )
        if self.train.optimizer.moves_polynomial:
            self._steps_of_a_polynomial()
        if self.train.shard == "axes":
            self._axes_are_divided()
        if self.train.compile:
            self._can_be_compiled()
        return self

    def shapes(self) -> dict[str, Any]:
        """Return the shapes of the network: points to values."""
        return {"input_shape": [self.problem.num_inputs], "output_shape": [1]}

    def _can_be_compiled(self) -> None:
        """Raise unless torch makes one program of a step."""
        if self.train.shard == "axes":
            raise ValueError(
                "train.compile: expected false with train.shard=axes, whose processes speak within"
                " a step, got true"
            )
        if not self.estimator.layerwise:
            others = kinds_with(AnyEstimator, "layerwise", False)
            raise ValueError(
                "estimator.kind: expected one that differentiates layer by layer with train.compile"
                f" (all but {', '.join(others)}), got {self.estimator.kind}"
            )

    def _axes_are_divided(self) -> None:
        """Raise unless the axes of the run can be divided over workers."""
        problem, estimator = self.problem, self.estimator
        if not problem.divides_axes:
            known = " and ".join(kinds_with(AnyProblem, "divides_axes"))
            raise ValueError(
                f"train.shard: expected points for a problem other than {known},"
                f" got axes with {problem.kind}"
            )
        if not estimator.divides_axes:
            *others, last = kinds_with(AnyEstimator, "divides_axes")
            raise ValueError(
                f"estimator.kind: expected {', '.join(others)} or {last} with train.shard=axes,"
                f" got {estimator.kind}"
            )
        if self.model.skip != "none":
            raise ValueError(
                f"model.skip: expected none with train.shard=axes, got {self.model.skip}"
            )
        if problem.dim < self.train.max_workers:
            raise ValueError(
                f"problem.dim: expected at least {self.train.max_workers}, an axis for each of the"
                f" train.num_workers, got {problem.dim}"
            )

    def _steps_of_a_polynomial(self) -> None:
        """Raise unless the run has what an optimiser that moves the polynomial needs."""
        train, optimizer = self.train, self.train.optimizer.kind
        if self.model.skip == "none":
            raise ValueError(
                f"model.skip: expected linear or quadratic, the part that"
                f" train.optimizer={optimizer} moves, got none"
            )
        if train.max_workers > 1 and not train.optimizer.divides_points:
            raise ValueError(
                f"train.num_workers: expected 1 with train.optimizer={optimizer}, whose steps are"
                f" made of all points of a batch, got {train.max_workers}"
            )
        if not self.estimator.knows_parts:
            others = kinds_with(AnyEstimator, "knows_parts", False)
            raise ValueError(
                "estimator.kind: expected one that takes derivatives of known parts in closed form"
                f" with train.optimizer={optimizer} (all but {', '.join(others)}), got"
                f" {self.estimator.kind}"
            )
        if train.loss == "squared" and train.index_sets > 1:
            raise ValueError(
                f"train.index_sets: expected 1 with train.optimizer={optimizer} and the squared"
                f" loss, got {train.index_sets}; train.loss=unbiased takes more"
            )
