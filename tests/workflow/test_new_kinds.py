"""The page docs/new_data.md, applied to a copy of the repository as a reader would."""

import json
import re

import pytest
from harness import ROOT, Checkout

from pipeline.runtime import failure

pytestmark = pytest.mark.slow
EXPERIMENT = "workflow/config/experiments/transport.yaml"


def blocks() -> list[str]:
    text = (ROOT / "docs/new_data.md").read_text()
    return [m[1] for m in re.finditer(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("new_kinds"))
    root = checkout.root
    config, generator, imported, line, model_config, model, model_imported, union, experiment = (
        blocks()
    )
    for folder, files in (
        ("equations/transport", {"config": config, "generator": generator}),
        ("models/multiplier", {"config": model_config, "model": model}),
    ):
        (root / "pipeline" / folder).mkdir()
        for name, text in {"__init__": '"""A new kind."""\n', **files}.items():
            (root / "pipeline" / folder / f"{name}.py").write_text(text)
    replace(root / "pipeline/equations/union.py", {
        "\nAnySampledEquation": imported + "\nAnySampledEquation",
        "\n    | Darcy": "\n    | Darcy\n" + line.rstrip(),
    })  # fmt: skip
    replace(root / "pipeline/models/union.py", {
        "from pipeline": "from typing import Annotated\nfrom pydantic import Field\nfrom pipeline",
        "\nAnyModel = FNO\n": model_imported + "\n" + union,
    })  # fmt: skip
    (root / EXPERIMENT).write_text(experiment)
    return checkout


def replace(path, changes: dict[str, str]) -> None:
    text = path.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    path.write_text(text)


def test_the_new_model_learns_the_new_equation(extended):
    done = extended.snakemake(files=(EXPERIMENT,))
    assert done.returncode == 0, done.stdout + done.stderr
    results = extended.root / "results/transport"
    summary = json.loads((results / "train/transport_multiplier/run.json").read_text())["summary"]
    assert summary["relative_l2"] < 1e-3
    data = json.loads((extended.root / "data/waves.run.json").read_text())["summary"]
    assert data["max_error"] < 1e-6
    html = (results / "report.html").read_text()
    assert "transport" in html and "multiplier" in html


def test_data_of_too_coarse_a_grid_are_refused(extended):
    path = extended.root / "coarse.yaml"
    text = (extended.root / EXPERIMENT).read_text()
    path.write_text(text.replace("[64]", "[16]").replace("waves", "coarse"))
    done = extended.snakemake("data/coarse.zarr/zarr.json", files=(str(path),))
    assert done.returncode != 0
    found = failure.read(failure.path(extended.root / "data", "generate", "coarse"))
    assert "expected an error of at most" in found.reason and "use more than 24" in found.reason


def test_a_model_of_other_fields_is_refused_in_one_line(extended):
    path = extended.root / "darcy.yaml"
    text = (extended.root / EXPERIMENT).read_text()
    text = text.replace("{kind: transport, speed: 0.3}", "{kind: darcy}").replace(
        "[64]", "[64, 64]"
    )
    path.write_text(text)
    done = extended.snakemake("-n", files=(str(path),))
    assert done.returncode != 0
    assert (
        "runs.transport_multiplier.model.kind: expected a model of dataset 'waves'" in done.stderr
    )
