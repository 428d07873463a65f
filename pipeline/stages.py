"""Which modules shape the numbers of each part of an experiment."""

from pipeline.config import Bound, Dataset, OperatorRun, PinnRun


def entry_modules(part: Dataset | PinnRun | OperatorRun | Bound) -> tuple[str, ...]:
    """Return the modules whose imports together are the source of `part`.

    Problems, models, estimators and formulations live in modules named after their `kind` and are
    loaded by that name: an edit of one reruns only what uses it.
    """
    match part:
        case Dataset():
            return ("pipeline.datagen.stage", f"pipeline.problems.{part.problem.kind}")
        case PinnRun():
            return (
                "pipeline.training.stage",
                "pipeline.training.pinn",
                f"pipeline.problems.{part.problem.kind}",
                f"pipeline.models.{part.model.kind}",
                f"pipeline.estimators.{part.estimator.kind}",
            )
        case OperatorRun():
            return (
                "pipeline.training.stage",
                "pipeline.training.operator",
                f"pipeline.models.{part.model.kind}",
            )
        case Bound():
            return ("pipeline.packing.stage", f"pipeline.packing.{part.formulation.kind}")
