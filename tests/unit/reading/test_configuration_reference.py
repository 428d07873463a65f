"""Every key of an experiment is described, and docs/configuration.md says what the models say."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import pytest
import yaml
from pydantic import BaseModel, Field

from pipeline import config, experiment
from pipeline.kinds import File, Frozen, Kind, kinds_of
from pipeline.reading.reference import page

ROOT = Path(config.__file__).parent.parent
HEAVY = {"numpy", "torch", "ray", "dask", "zarr", "scipy", "pyarrow", "pandas"}


def models_below(annotation: Any, seen: set[type] | None = None) -> Iterator[type[BaseModel]]:
    seen = set() if seen is None else seen
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return
        seen.add(annotation)
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_below(field.annotation, seen)
    for argument in get_args(annotation):
        yield from models_below(argument, seen)


MODELS = list(models_below(config.Experiment))


def test_all_models_are_walked():
    for union in (config.AnyProblem, config.AnyEstimator, config.AnyInitial, config.AnyModel):
        assert set(kinds_of(union).values()) <= set(MODELS)
    assert {config.EarlyStopping, config.SolverSettings} < set(MODELS)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_has_a_description(model):
    assert model.__doc__ and model.__doc__.splitlines()[0].endswith(".")
    # Not `kind`: its only value names the class, whose docstring is the description of both.
    fields = {key: field for key, field in model.model_fields.items() if key != "kind"}
    missing = [key for key, field in fields.items() if not (field.description or "").endswith(".")]
    assert not missing, f"{model.__module__}.{model.__name__}: describe {missing} in their Field"


def test_the_reference_is_up_to_date():
    stored = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert stored == config.reference_text(), (
        "run: python -m pipeline.config --reference > docs/configuration.md"
    )


def test_the_reference_has_all_models_under_headings_of_their_own_that_links_find():
    def described(parts):
        for part in parts.values():
            yield from described(part) if isinstance(part, dict) else [part]

    assert sorted(map(str, described(config.outline()))) == sorted(map(str, MODELS))
    text = config.reference_text()
    anchors = [x.lower().replace(" ", "-") for x in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    assert len(set(anchors)) == len(anchors)
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(anchors)


def test_the_command_prints_the_schema_or_the_reference(capsysbinary):
    assert config.main([]) == 0
    assert capsysbinary.readouterr().out.decode() == config.schema_text()
    assert config.main(["--reference"]) == 0
    assert capsysbinary.readouterr().out.decode() == config.reference_text()


def test_the_check_of_an_experiment_says_where_keys_are_described(capsys):
    with pytest.raises(SystemExit):
        experiment.main(["--help"])
    named = "docs/configuration.md"
    assert named in " ".join(capsys.readouterr().out.split()) and (ROOT / named).exists()


class Part(Frozen):
    """The part of a wheel. It has a second sentence.

    And a second paragraph.
    """

    kind: Literal["spoke"] = "spoke"
    place: File | None = Field(default=None, description="Where |x| lies.")
    size: int = Field(ge=2, le=10**6, description="A size.")
    seed: int = Field(default=7, ge=0, le=2**64 - 1, description="A seed.")
    rate: float = Field(default=1e-4, gt=0, lt=2.5e7, description="A rate.")
    shape: tuple[int, int] | Literal["round"] = Field(default="round", description="A shape.")
    is_new: bool = Field(default=True, description="Whether it is new.")


class Wheel(Kind):
    """A wheel.

    turns: it goes round,
        and round.
    axle: the field with its axle, or none.
    """

    turns: ClassVar[bool] = False
    axle: ClassVar[str] = ""

    spoke: Part = Field(default=Part(size=3), description="Its spokes.")


class Front(Wheel):
    """The front wheel."""

    turns: ClassVar[bool] = True


def test_a_page_tells_types_limits_defaults_and_capabilities():
    text = page({"Wheels": {"front": Front}, "Spoke": Part}, "Bicycle", "All keys.")
    assert text.splitlines() == [
        "# Bicycle", "",
        "All keys.", "",
        "## Wheels", "",
        "A wheel.", "",
        "- `turns`: it goes round, and round.",
        "- `axle`: the field with its axle, or none.", "",
        "### front", "",
        "The front wheel.", "",
        "| key | type and limits | default | description |",
        "|---|---|---|---|",
        "| `spoke` | [Spoke](#spoke) | `{size: 3}` | Its spokes. |", "",
        "Capabilities: `turns` yes, `axle` none.", "",
        "## Spoke", "",
        "The part of a wheel. It has a second sentence.", "",
        "| key | type and limits | default | description |",
        "|---|---|---|---|",
        "| `place` | path, or `null` | `null` | Where \\|x\\| lies. |",
        "| `size` | whole number, 2 to 10^6 | required | A size. |",
        "| `seed` | whole number, 0 to 2^64 - 1 | `7` | A seed. |",
        "| `rate` | number, above 0 and below 2.5e+7 | `1.0e-4` | A rate. |",
        "| `shape` | list of 2, each a whole number, or `round` | `round` | A shape. |",
        "| `is_new` | `true` or `false` | `true` | Whether it is new. |",
    ]  # fmt: skip


def test_the_page_tells_which_keys_shape_no_number_and_not_of_paths():
    text = config.reference_text()
    assert "stays when `ranks` or `tolerance` changes." in text
    assert "`initial_checkpoint` changes" not in text


@pytest.mark.parametrize("value", [1e-4, 3e-5, 2.5e-7, 1e6, 1.25e30, 0.001, 0.0, 3.0, 1e-300])
def test_a_default_is_what_yaml_reads(value):
    class Model(BaseModel):
        """A model."""

        key: float = Field(default=value, description="A key.")

    *_, row = page({"Model": Model}, "Page", "").splitlines()
    assert yaml.safe_load(row.split("`")[3]) == value


def test_reading_an_experiment_loads_nothing_that_computes():
    program = (
        "import sys, time, pydantic, yaml; before = time.process_time()\n"
        "import pipeline.experiment; seconds = time.process_time() - before\n"
        "print(seconds, *{module.partition('.')[0] for module in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, *loaded = done.stdout.split()
    print(f"import of pipeline.experiment beyond pydantic and yaml: {float(seconds):.2f} CPU s")
    assert not HEAVY & set(loaded)
