"""Configuration of a physics-informed network."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.estimators.union import AnyEstimator
from pipeline.kinds import File, kinds_with
from pipeline.limits import Repeats, Size, Steps, TestPoints
from pipeline.networks.union import AnyNetwork
from pipeline.optimizers.adam.config import Adam
from pipeline.optimizers.union import AnyOptimizer
from pipeline.problems.union import AnyProblem
from pipeline.training.config import EarlyStopping, Run, TrainSettings


class PinnTraining(TrainSettings):
    """The squared residual of the equation at collocation points, fresh ones at each step."""

    # Compiled operations round differently, and change nothing else.
    neutral: ClassVar[frozenset[str]] = TrainSettings.neutral | {"compile"}

    num_steps: Steps = Field(
        description=(
            "Number of steps, at the last of which the learning rate reaches zero. Some hundreds to"
            " ten thousand are usual here; the error falls most while the rate does."
        )
    )
    batch_size: Size = Field(
        default=100,
        description=(
            "Collocation points of a step, over all workers together: their number changes the time"
            " of a step and, but for rounding, none of its numbers. At least one for each worker."
        ),
    )
    num_test_points: TestPoints = Field(
        default=20_000,
        description=(
            "Points that the error is measured at, the same at every evaluation. Few leave a large"
            " standard error; parabolic is known at one point alone."
        ),
    )
    loss: Literal["squared", "unbiased"] = Field(
        default="squared",
        description=(
            "squared: the square of the estimated residual, whose mean has the variance of the"
            " estimate added, unless that is exact. unbiased: the product of two independent"
            " estimates, of which one is differentiated; its mean is the exact square, it is"
            " noisier and may be negative."
        ),
    )
    index_sets: Repeats = Field(
        default=1,
        description=(
            "Independent estimates at each step, whose squares are averaged, or which are averaged"
            " to one factor of the unbiased loss. The noise falls with their number, and a step"
            " takes longer."
        ),
    )
    optimizer: AnyOptimizer = Field(
        default=Adam(kind="adam"), description="What moves the parameters, and its schedule."
    )
    shard: Literal["points", "axes"] = Field(
        default="points",
        description=(
            "What the workers divide: the points of a step; or the axes, each then holding its"
            " coordinates of all points and its columns of the first layer, which serves d of a"
            " million. Axes take a problem and an estimator that `divides_axes`, and neither `skip`"
            " nor `compile`."
        ),
    )
    early_stopping: EarlyStopping | None = Field(
        default=None,
        description="When to end before `num_steps`; null takes all steps.",
    )
    compile: bool = Field(
        default=False,
        description=(
            "Whether torch makes one program of a step's residual and its gradient: a step takes 10"
            " to 20% less, with the same numbers up to rounding, after some ten seconds for the"
            " first one. It takes an estimator that is `layerwise`, and a C++ compiler where there"
            " is no GPU."
        ),
    )

    @property
    def stopping(self) -> EarlyStopping | None:
        """Return when to stop early, None for never."""
        return self.early_stopping

    def neutral_here(self) -> frozenset[str]:
        """Return what shapes no number: with early stopping, the evaluations decide on the end."""
        return self.neutral - {"evaluate_every"} if self.early_stopping else self.neutral


class PinnRun(Run):
    """A physics-informed network trained on the residual alone."""

    task: ClassVar[Literal["pinn", "operator"]] = "pinn"
    # The path is; the weights that it leads to count (`pipeline.runtime.identity`).
    neutral: ClassVar[frozenset[str]] = frozenset({"initial_checkpoint"})
    stage_modules: ClassVar[tuple[str, ...]] = (
        "pipeline.training.stage",
        "pipeline.training.pinn.task",
    )

    problem: AnyProblem = Field(description="The boundary value problem that is solved.")
    model: AnyNetwork = Field(description="The network, a function of a point's coordinates.")
    estimator: AnyEstimator = Field(
        description=(
            "How the sums over axes in the residual are computed, exactly or from a sample. One"
            " that is biased for the problem is refused before training."
        )
    )
    train: PinnTraining = Field(description="How the network is trained.")
    initial_checkpoint: File | None = Field(
        default=None,
        description=(
            "Folder `checkpoint` of a finished run with this model, from the working directory:"
            " training starts from its weights, which count for the result, where the path does"
            " not. If a run of this experiment makes it, that run comes first; another model is"
            " refused before any job."
        ),
    )

    @model_validator(mode="after")
    def _consistent(self) -> "PinnRun":
        key = self.estimator.axes_key
        # Axes are drawn without replacement, so that there cannot be more than the problem has.
        sampled = getattr(self.estimator, key) if key else 0
        if sampled > self.problem.dim:
            raise ValueError(
                f"estimator.{key}: expected at most problem.dim={self.problem.dim}, got {sampled}"
            )
        if self.problem.is_mixed and self.model.polynomial != "none":
            raise ValueError(
                f"model.skip: expected none with problem.{self.problem.mixed_by}, whose mixed"
                f" derivatives the polynomial has not in closed form, got {self.model.polynomial}"
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
        # The others nest derivatives of the whole network, of which torch makes no program.
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
        if self.model.polynomial != "none":
            raise ValueError(
                f"model.skip: expected none with train.shard=axes, got {self.model.polynomial}"
            )
        if problem.dim < self.train.max_workers:
            raise ValueError(
                f"problem.dim: expected at least {self.train.max_workers}, an axis for each of the"
                f" train.num_workers, got {problem.dim}"
            )

    def _steps_of_a_polynomial(self) -> None:
        """Raise unless the run has what an optimiser that moves the polynomial needs."""
        train, optimizer = self.train, self.train.optimizer.kind
        if self.model.polynomial == "none":
            raise ValueError(
                f"model.skip: expected linear or quadratic, the part that"
                f" train.optimizer={optimizer} moves, got none"
            )
        # One n × n system couples all points: no part of a step is that of a share of them.
        if train.max_workers > 1 and not train.optimizer.divides_points:
            raise ValueError(
                f"train.num_workers: expected 1 with train.optimizer={optimizer}, whose steps are"
                f" made of all points of a batch, got {train.max_workers}"
            )
        # The polynomial enters by its values at the points: automatic differentiation of all of u
        # in the points would not see its derivatives.
        if not self.estimator.knows_parts:
            others = kinds_with(AnyEstimator, "knows_parts", False)
            raise ValueError(
                "estimator.kind: expected one that takes derivatives of known parts in closed form"
                f" with train.optimizer={optimizer} (all but {', '.join(others)}), got"
                f" {self.estimator.kind}"
            )
        # A step linearises one estimate of the residual; a mean of squares has several.
        if train.loss == "squared" and train.index_sets > 1:
            raise ValueError(
                f"train.index_sets: expected 1 with train.optimizer={optimizer} and the squared"
                f" loss, got {train.index_sets}; train.loss=unbiased takes more"
            )
