"""The experiment as one frozen, validated model; `pipeline.experiment` reads it from its files.

Every Snakemake job parses the Snakefile and so imports this module, and with it the configurations
of all kinds: they depend on pydantic and nothing heavier.
"""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.kinds import Frozen, Name, Part, Whole
from pipeline.limits import Seed
from pipeline.models.settings import FieldSpec
from pipeline.packing.config import Bound
from pipeline.store.config import AnyDataset, Dataset
from pipeline.training.operator.config import OperatorRun
from pipeline.training.union import AnyRun


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
    """Return the JSON schema of an experiment file, for editors and for readers."""
    return json.dumps(Experiment.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    # python -m pipeline.config > workflow/schemas/experiment.schema.json
    print(schema_text(), end="")
