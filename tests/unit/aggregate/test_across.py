"""Several experiments in one report: seeds, differing settings, bounds, and what is overwritten."""

import json
import re
import shutil
from decimal import Decimal
from pathlib import Path

import finished_experiment as finished
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.aggregate import __main__ as command
from pipeline.aggregate.across import (
    bounds,
    datasets,
    differences,
    experiments,
    seeds,
    table,
    write,
)
from pipeline.runtime import failure

RUN = finished.PINN | {"train": {"num_steps": 60}}
BOUNDS = {name: finished.RAW["bounds"][name] for name in ("packing_d8", "packing_d24")}
ERRORS = {7: 0.04, 8: 0.05, 9: 0.09}


def experiment(**changes):
    base = {
        "datasets": {"burgers_1d": finished.RAW["datasets"]["burgers_1d"]},
        "runs": {"pinn": RUN, "fno": finished.RAW["runs"]["burgers_fno"]},
        "bounds": {},
    }
    return finished.experiment(**(base | changes))


@pytest.fixture
def three(tmp_path, monkeypatch):
    """One experiment under three seeds, its results in the current folder."""
    monkeypatch.chdir(tmp_path)
    for seed, error in ERRORS.items():
        folder = finished.write_named(tmp_path, f"s{seed}", experiment(seed=seed))
        set_summary(folder, "pinn", relative_l2=error, seed_only=1.0 if seed == 7 else "x")
    return tmp_path / "results"


def set_summary(folder, run, **numbers):
    record = folder / "train" / run / "run.json"
    summary = json.loads(record.read_text(encoding="utf-8"))["summary"]
    finished.edit_json(record, summary=summary | numbers)


def test_the_same_run_over_seeds_has_a_mean_and_a_standard_error(three):
    found = {run.names[0]: run for run in seeds.same_runs(experiments.members(["s7", "s8", "s9"]))}
    assert set(found) == {"pinn", "fno"} and list(found["pinn"].by_seed) == [7, 8, 9]
    error = found["pinn"].statistics["relative_l2"]
    values = np.array([0.04, 0.05, 0.09])
    assert error.mean == pytest.approx(0.06, rel=1e-15) and error.n == 3
    assert error.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(3), rel=1e-14)
    # Of the numbers that all seeds have, and of no others.
    assert "seed_only" not in found["pinn"].statistics
    assert {"wall_time_s", "peak_memory_mb", "num_steps"} <= set(found["pinn"].statistics)
    one = seeds.same_runs(experiments.members(["s8"]))[0].statistics["relative_l2"]
    assert (one.mean, one.standard_error, one.n) == (0.05, None, 1)


@given(st.lists(st.floats(1e-9, 1e12), min_size=2, max_size=9))
def test_a_statistic_is_that_of_numpy(values):
    found = seeds.statistic(values)
    scale = max(map(abs, values)) or 1.0
    assert found.mean == pytest.approx(np.mean(values), abs=1e-12 * scale)
    expected = np.std(values, ddof=1) / np.sqrt(len(values))
    assert found.standard_error == pytest.approx(expected, abs=1e-7 * scale)


def test_a_seed_counts_once_however_often_it_was_run(three):
    copied = shutil.copytree(three / "s8", three / "again")
    finished.edit_json(copied / "experiment.json", name="again")
    (same,) = [
        run
        for run in seeds.same_runs(experiments.members(["s7", "s8", "again"]))
        if run.names == ["pinn"]
    ]
    assert same.statistics["relative_l2"].values == (0.04, 0.05)
    assert same.notes() == ["seed 8 is also in again (pinn); counted once, from s8"]
    set_summary(copied, "pinn", relative_l2=0.051)
    (same, _) = seeds.same_runs(experiments.members(["s7", "s8", "again"]))
    assert "again (pinn) with other numbers" in same.notes()[0]


def test_runs_are_compared_by_configuration_neither_by_name_nor_by_title(three):
    renamed = experiment(
        seed=10,
        datasets={"other": finished.RAW["datasets"]["burgers_1d"]},
        runs={
            # Another name and number of workers, of the run and of its data: the same run.
            "fno_2": finished.RAW["runs"]["burgers_fno"] | {"dataset": "other"},
            "pinn": RUN | {"train": {"num_steps": 60, "num_workers": 1}},
            # The same title.
            "slower": RUN | {"train": {"num_steps": 60, "learning_rate": 1e-4}},
        },
    )
    finished.write_named(three.parent, "renamed", renamed)
    members = experiments.members(["s7", "renamed"])
    assert [(run.names, list(run.by_seed)) for run in seeds.same_runs(members)] == [
        (["pinn"], [7, 10]), (["fno", "fno_2"], [7, 10]), (["slower"], [10])
    ]  # fmt: skip
    (difference,) = differences.differences(members)
    assert difference.key == "train.num_workers" and not difference.shapes
    (definition,) = datasets.definitions(members)
    assert definition.names == ("burgers_1d", "other") and not definition.shared
    assert datasets.definitions(experiments.members(["s7", "s8"]))[0].state == "shared"


def test_exactly_the_keys_that_differ_are_listed_with_their_values(three):
    other = experiment(
        seed=7,
        datasets={"burgers_1d": finished.RAW["datasets"]["burgers_1d"] | {"num_samples": 600}},
        runs={
            "pinn": RUN | {"estimator": {"kind": "sdgd", "sampled_axes": 4}},
            "fno": finished.RAW["runs"]["burgers_fno"] | {"train": {"num_epochs": 50}},
        },
    )
    # In a folder of its own: a data set of another definition has another store.
    finished.write_named(three.parent / "elsewhere", "tuned", other)
    members = experiments.members(["s7", "s8", "elsewhere/results/tuned"])
    assert [(x.part, x.name, x.text, x.whose) for x in differences.differences(members)] == [
        ("dataset", "burgers_1d", "num_samples: 1200 | 600", "s7, s8 | tuned"),
        ("run", "pinn", "estimator.sampled_axes: 16 | 4", "s7, s8 | tuned"),
        ("run", "fno", "dataset.num_samples: 1200 | 600", "s7, s8 | tuned"),
        ("run", "fno", "train.grid_stride: 4 | 1", "s7, s8 | tuned"),
    ]
    # Runs on other data are other runs.
    assert len(seeds.same_runs(members)) == 4


@pytest.mark.parametrize(
    ("value", "text"), [(1e-3, "0.001"), (1 / 3, "0.3333333333333333"), (None, "null"), ("a", "a")]
)
def test_a_value_is_told_as_it_would_be_written(value, text):
    assert differences.value_text(value) == text


def test_bounds_stand_side_by_side_and_only_verdicts_prove(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    parts = finished.experiment(datasets={}, runs={}, bounds=BOUNDS)
    for name in ("a", "b"):
        finished.write_named(tmp_path, name, parts)
    results = tmp_path / "results" / "b"
    condition = "negative at 3/7 <script>alert(1)</script>"
    finished.reject(results, "packing_d24", parts.bounds["packing_d24"], condition)
    assert command.main(["a", "b"]) == 0
    first, second = bounds.side_by_side(experiments.members(["a", "b"]))
    assert [cell.proved_bound for cell in second.cells] == [finished.PROVED[24], None]
    (note,) = first.same_certificates(experiments.members(["a", "b"]))
    assert note.startswith("a, b: the same certificate ")
    page = Path("results/compared/compared.html").read_text(encoding="utf-8")
    assert "<script>" not in page and "negative at 3/7 &lt;script&gt;" in page
    shown = re.findall(r"≤ ([0-9.]+)", page)
    assert len(shown) == 3 and all(
        any(0 <= Decimal(x) - Decimal(y) < Decimal("1e-15") for y in finished.PROVED.values())
        for x in shown
    )
    found = pd.read_parquet("results/compared/compared.parquet")
    rows = found[found["quantity"] == "upper_bound"]
    assert rows["label"].tolist() == ["proved", "proved", "proved", "rejected"]
    assert rows["text"].tolist()[:3] == [finished.PROVED[8]] * 2 + [finished.PROVED[24]]
    # The verdict gone, the bound is no number anywhere.
    (results / "certify" / "packing_d8" / "verdict.json").unlink()
    capsys.readouterr()
    assert command.main(["a", "b"]) == 1
    printed = capsys.readouterr()
    assert printed.err == "error: results/compared/compared.html: incomplete: b\n"
    assert re.search(
        r"MISSING\n.*\n  b +bound +packing_d8 +missing +results/b/certify", printed.out
    )
    found = pd.read_parquet("results/compared/compared.parquet")
    proved = found[found["label"] == "proved"]
    assert list(zip(proved["name"], proved["experiments"], strict=True)) == [
        ("packing_d8", "a"), ("packing_d24", "a")
    ]  # fmt: skip


def test_an_incomplete_experiment_is_compared_by_what_it_has(three, capsys):
    shutil.rmtree(three / "s8" / "train" / "pinn")
    failure.write(failure.path(three / "s8", "train", "pinn"), reason="loss is NaN <b>")
    assert command.main(["s7", "s8", "s9"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"s8 +run +pinn +failed +loss is NaN <b>", printed)
    found = pd.read_parquet("results/compared/compared.parquet")
    assert list(found.columns) == list(table.COLUMNS)
    rows = found[found["quantity"] == "relative_l2"].set_index("name")
    assert rows["n"].to_dict() == {"pinn": 2, "fno": 3}
    assert rows.loc["pinn", "text"] == "7: 0.04, 9: 0.09"
    page = Path("results/compared/compared.html").read_text(encoding="utf-8")
    assert "loss is NaN &lt;b&gt;" in page and "6.50% ± 2.50%" in page
    first = [Path("results/compared", name).read_bytes() for name in (write.PAGE, write.TEXT)]
    # Its own files are replaced, by the same bytes.
    assert command.main(["s7", "s8", "s9"]) == 1
    assert first == [
        Path("results/compared", name).read_bytes() for name in (write.PAGE, write.TEXT)
    ]


@pytest.mark.parametrize("name", [write.PAGE, write.TEXT, write.TABLE])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "empty", "parquet"])
def test_what_it_did_not_make_is_not_replaced(tmp_path, name, kind):
    path = tmp_path / "out" / name
    path.parent.mkdir()
    match kind:
        case "file":
            path.write_text("mine", encoding="utf-8")
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(tmp_path / "nowhere")
        case "parquet":
            pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(write.ResultError, match=f"{name}: expected no file, or one that this"):
        write.check_free(path.parent)


def test_a_wrong_use_is_one_line(three, capsys):
    (three.parent / "file").touch()
    for arguments, message in (
        (["s7", "s7"], "s7: expected each experiment once, got it 2 times"),
        (["s7", "x8"], "x8: expected an experiment with results, got none; in results: s7"),
        (["s7", "s8", "--output", "file"], "file: expected a folder, got a file"),
    ):
        assert command.main(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message in error
    with pytest.raises(SystemExit) as stopped:
        command.main([])
    assert stopped.value.code == 2
