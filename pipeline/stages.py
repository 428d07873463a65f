"""The parts of an experiment by name, and which modules shape the numbers of each."""

from difflib import get_close_matches

from pipeline.config import Bound, Dataset, Experiment, OperatorRun, PinnRun, Trajectory
from pipeline.errors import ConfigError

Part = Dataset | Trajectory | PinnRun | OperatorRun | Bound


def find_part(experiment: Experiment, section: str, name: str) -> Part:
    """Return the part called `name` of "datasets", "runs" or "bounds".

    Raises:
        ConfigError: there is none; the closest names are listed, not all of thousands.
    """
    parts: dict[str, Part] = getattr(experiment, section)
    if name not in parts:
        near = get_close_matches(name, parts) or sorted(parts)[:3]
        hint = f"did you mean {' or '.join(near)}?" if near else "there are none"
        raise ConfigError(
            f"{section}.{name}: expected one of the {len(parts)} {section} of the experiment,"
            f" got {name!r}; {hint}"
        )
    return parts[name]


def entry_modules(part: Part) -> tuple[str, ...]:
    """Return the modules whose imports together are the source of `part`.

    Problems, models, estimators and formulations live in modules named after their `kind` and are
    loaded by that name: an edit of one reruns only what uses it.
    """
    match part:
        case Dataset():
            return ("pipeline.datagen.stage", f"pipeline.problems.{part.problem.kind}")
        case Trajectory():
            return ("pipeline.datagen.mpi_stage",)
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
            formulation = f"pipeline.packing.{part.formulation.kind}"
            # Three-point searches run the verifier as a command, which no import shows.
            verifier = ("pipeline.certify.__main__",)
            return ("pipeline.packing.stage", formulation) + (
                verifier if part.formulation.kind == "three_point" else ()
            )
