"""The experiment as one frozen, validated model; `pipeline.experiment` reads it from its files.

Every Snakemake job parses the Snakefile and so imports this module, and with it the configurations
of all kinds: they depend on pydantic and nothing heavier.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from pipeline.equations.navier_stokes.config import AnyInitial
from pipeline.equations.union import AnyFlow, AnySampledEquation
from pipeline.errors import ConfigError
from pipeline.estimators.union import AnyEstimator
from pipeline.kinds import Frozen, Name, Part, Whole, kinds_of
from pipeline.limits import Seed
from pipeline.models.settings import FieldSpec
from pipeline.models.union import AnyModel
from pipeline.networks.union import AnyNetwork
from pipeline.optimizers.union import AnyOptimizer
from pipeline.packing.config import Bound, SolverSettings
from pipeline.packing.union import AnyFormulation
from pipeline.problems.union import AnyProblem
from pipeline.store.config import AnyDataset, Dataset, Trajectory
from pipeline.training.config import EarlyStopping
from pipeline.training.operator.config import OperatorRun, OperatorTraining
from pipeline.training.pinn.config import PinnRun, PinnTraining
from pipeline.training.union import AnyRun

if TYPE_CHECKING:
    from pipeline.reading.reference import Outline


class Experiment(Frozen):
    """One experiment file, overlays merged."""

    schema_version: Annotated[Literal[1], Whole] = Field(
        description="Version of the format of experiment files."
    )
    name: Name | None = Field(
        default=None,
        description=(
            "The results lie in `results/<name>`. Only a name in the last file counts; without one"
            " they are named after that file. The folder of another experiment is refused."
        ),
    )
    seed: Seed = Field(
        description=(
            "Seed of training: weights, batches, collocation points and sampled axes. Data sets"
            " have their own. Another seed is another experiment and takes another name."
        )
    )
    datasets: dict[Name, AnyDataset] = Field(
        default={},
        description=(
            "Data sets by their names. `data/<name>.zarr` serves all experiments that define it"
            " equally; one of the same name and another definition is refused."
        ),
    )
    runs: dict[Name, AnyRun] = Field(
        default={},
        description=(
            "Training runs by their names: a neural operator where there is a `dataset`, else a"
            " PINN."
        ),
    )
    bounds: dict[Name, Bound] = Field(
        default={},
        description=(
            "Upper bounds on the sphere packing density by their names, each searched for and then"
            " proved or rejected."
        ),
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> "Experiment":
        mistakes = list(self._same_but_for_case())
        for name, run in self.runs.items():
            if not isinstance(run, OperatorRun):
                continue
            dataset = self.datasets.get(run.dataset)
            if dataset is None:
                near = get_close_matches(run.dataset, self.datasets) or sorted(self.datasets)[:3]
                mistakes.append(
                    f"runs.{name}.dataset: expected one of the {len(self.datasets)} datasets"
                    f" ({', '.join(near) or 'none'}), got {run.dataset!r}"
                )
            elif not isinstance(dataset, Dataset):
                mistakes.append(
                    f"runs.{name}.dataset: expected a dataset of inputs and targets,"
                    f" got the trajectory {run.dataset!r}"
                )
            else:
                mistakes.extend(_misfits(name, run, dataset))
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self

    def _same_but_for_case(self) -> Iterator[str]:
        """Yield what to say of names whose files are one where case does not count."""
        for section in ("datasets", "runs", "bounds"):
            seen: dict[str, str] = {}
            for name in getattr(self, section):
                first = seen.setdefault(name.lower(), name)
                if first != name:
                    yield (
                        f"{section}.{name}: expected names that differ in more than case (some"
                        f" file systems ignore it), got {first} too"
                    )


def _misfits(name: str, run: OperatorRun, dataset: Dataset) -> Iterator[str]:
    """Yield why the model or the loader of `run` does not fit its dataset."""
    train, stride = f"runs.{name}.train", run.train.grid_stride
    grid = tuple(-(-points // stride) for points in dataset.grid)
    spec = FieldSpec(grid, dataset.problem.periodic, run.dataset)
    yield from (f"runs.{name}.model.{mistake}" for mistake in run.model.fits(spec))
    for axis, points in enumerate(dataset.grid):
        # A grid without its last node keeps its period if the stride divides its points; one with
        # both ends keeps them if it divides the intervals (Li et al.: 421 points, stride 5).
        fits = points % stride == 0 or (not spec.periodic and (points - 1) % stride == 0)
        if not fits:
            intervals = "" if spec.periodic else f", or of its {points - 1} intervals"
            yield (
                f"{train}.grid_stride: expected a divisor of the {points} points of axis {axis} of"
                f" dataset {run.dataset!r}{intervals}, got {stride}"
            )
    samples = dataset.num_samples - dataset.num_test
    if run.train.batch_size > samples:
        yield (
            f"{train}.batch_size: expected at most {samples}, the training samples of dataset"
            f" {run.dataset!r} (num_samples - num_test), got {run.train.batch_size}"
        )


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


def schema_text() -> str:
    """Return the JSON schema of an experiment file, for editors."""
    return json.dumps(Experiment.model_json_schema(), indent=1) + "\n"


def outline() -> "Outline":
    """Return the headings of the reference, with the model or the kinds described below each."""
    return {
        "Experiment": Experiment,
        "Datasets": {
            "Samples": Dataset,
            "Trajectory": Trajectory,
            "Equations": kinds_of(AnySampledEquation) | kinds_of(AnyFlow),
            "Initial velocities": kinds_of(AnyInitial),
        },
        "Runs": {
            "PINN": PinnRun,
            "Neural operator": OperatorRun,
            "Problems": kinds_of(AnyProblem),
            "Networks": kinds_of(AnyNetwork),
            "Estimators": kinds_of(AnyEstimator),
            "Optimisers": kinds_of(AnyOptimizer),
            "Models": kinds_of(AnyModel),
            "Training": {
                "Training of a PINN": PinnTraining,
                "Early stopping": EarlyStopping,
                "Training of a neural operator": OperatorTraining,
            },
        },
        "Bounds": {
            "Bound": Bound,
            "Formulations": kinds_of(AnyFormulation),
            "Solver": SolverSettings,
        },
    }


def reference_text() -> str:
    """Return docs/configuration.md: every key of an experiment file, for readers."""
    # Not above: every job imports this module, and none prints the reference.
    from pipeline.reading.reference import page

    introduction = (
        "Every key of an experiment file, printed by `python -m pipeline.config --reference` from\n"
        "the models that validate it. Where a key `kind` chooses one of a family, each kind has a\n"
        "section headed by its name. `python -m pipeline.experiment FILE` checks a file; editors\n"
        "complete its keys by `workflow/schemas/experiment.schema.json`."
    )
    return page(outline(), "Configuration", introduction)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the schema or the reference, as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.config",
        description="Print the JSON schema of experiment files:"
        " workflow/schemas/experiment.schema.json.",
    )
    parser.add_argument(
        "--reference",
        action="store_true",
        help="print the description of every key in its place: docs/configuration.md",
    )
    found = parser.parse_args(arguments)
    # In UTF-8 whatever the terminal's encoding: it is the content of a file.
    sys.stdout.buffer.write((reference_text() if found.reference else schema_text()).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
