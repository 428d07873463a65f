"""A part that failed, is missing, damaged or outdated is a row with its reason; the rest stays."""

import json
import re
import shutil

import finished_experiment as finished
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.aggregate import __main__ as command
from pipeline.aggregate import stage
from pipeline.aggregate.console import closing_table
from pipeline.aggregate.read.collect import collect
from pipeline.aggregate.table import summary_table
from pipeline.runtime import failure

FILES = {
    "data/burgers_1d.run.json": "burgers_1d",
    "data/darcy_2d.zarr/zarr.json": "darcy_2d",
    "data/darcy_2d.zarr/targets/c/2/0/0/0": "darcy_2d",
    "data/vortex.zarr/velocity/zarr.json": "vortex",
    "results/train/sine_sdgd/run.json": "sine_sdgd",
    "results/train/sine_sdgd/metrics.parquet": "sine_sdgd",
    "results/train/burgers_fno/prediction.npz": "burgers_fno",
    "results/search/packing_d8/run.json": "packing_d8",
    "results/search/packing_d8/trace.json": "packing_d8",
    "results/search/packing_d8/candidate.json": "packing_d8",
    "results/certify/packing_d8/verdict.json": "packing_d8",
}
# Fewer steps and shards than there: it is copied for each example.
DATASETS = {
    name: part if name == "vortex" else part | {"num_samples": 300, "samples_per_shard": 100}
    for name, part in finished.RAW["datasets"].items()
}
RUNS = finished.RAW["runs"] | {"sine_sdgd": finished.PINN | {"train": {"num_steps": 80}}}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A finished experiment on disk; not to be changed."""
    root = tmp_path_factory.mktemp("original")
    parts = finished.experiment(datasets=DATASETS, runs=RUNS)
    finished.write_all(root, parts)
    return parts, root


@pytest.fixture
def whole(original, tmp_path):
    """A copy of it, to be damaged."""
    parts, root = original
    for folder in ("data", "results"):
        shutil.copytree(root / folder, tmp_path / folder)
    return parts, tmp_path


def found(parts, root):
    return collect(parts, data=root / "data", results=root / "results")


def lacking(parts, root):
    """Return what is missing by name; every reason is one line, and every part is accounted for."""
    results = found(parts, root)
    there = [part.name for part in (*results.datasets, *results.runs, *results.bounds)]
    names = [*there, *(part.name for part in results.missing)]
    assert sorted(names) == sorted([*parts.datasets, *parts.runs, *parts.bounds])
    assert all(part.reason and part.reason.isprintable() for part in results.missing)
    return {part.name: part for part in results.missing}


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
@pytest.mark.parametrize("file", FILES)
def test_a_missing_or_damaged_file_costs_its_part_alone(whole, file, damage):
    parts, root = whole
    path = root / file
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(
            {"empty": b"", "cut": content[: len(content) // 2], "garbage": b"\xff\x00{]"}[damage]
        )
    missing = lacking(parts, root)
    if damage == "garbage" and path.name == "candidate.json":
        # Any bytes are a candidate: its digest is not that of the verdict.
        assert missing["packing_d8"].status == "outdated"
    assert set(missing) == {FILES[file]}
    part = missing[FILES[file]]
    place = path.parent if path.suffix else path.parents[4]
    assert path.name in part.reason or str(place) in part.reason
    assert re.search("(re)?run ", part.reason)


def forget(root, name):
    """Remove every file of the part called `name`."""
    for path in (root / "data" / f"{name}.zarr", *(root / "results").glob(f"*/{name}")):
        shutil.rmtree(path, ignore_errors=True)
    (root / "data" / f"{name}.run.json").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("stage_name", "name"),
    [("generate", "vortex"), ("train", "sine_full"), ("search", "packing_d12")],
)
def test_a_failed_stage_is_a_row_with_the_reason_it_recorded(whole, stage_name, name):
    parts, root = whole
    forget(root, name)
    assert lacking(parts, root)[name].reason == "not made yet"
    folder = root / ("data" if stage_name == "generate" else "results")
    failure.write(failure.path(folder, stage_name, name), reason="x: expected 1,\n got 2")
    part = lacking(parts, root)[name]
    assert (part.stage, part.status) == (stage_name, "failed")
    assert part.reason == "x: expected 1,; got 2" and part.when.endswith("+00:00")


def test_a_failed_proof_keeps_what_the_search_measured(whole):
    parts, root = whole
    results = root / "results"
    shutil.rmtree(results / "certify" / "packing_d24")
    assert lacking(parts, root)["packing_d24"].stage == "certify"
    failure.write(failure.path(results, "certify", "packing_d24"), reason="killed")
    assert lacking(parts, root)["packing_d24"].reason == "killed"
    table = summary_table(found(parts, root))
    rows = table[table["name"] == "packing_d24"].set_index("quantity")
    assert rows.loc["status", ["stage", "label", "detail"]].tolist() == [
        "certify", "failed", "killed"
    ]  # fmt: skip
    assert rows.loc["solver_value", "label"] == "empirical" and "upper_bound" not in rows.index


def test_a_run_without_its_data_says_which(whole):
    parts, root = whole
    forget(root, "burgers_1d")
    forget(root, "burgers_fno")
    assert lacking(parts, root)["burgers_fno"].reason == "not made yet"
    failure.write(failure.path(root / "data", "generate", "burgers_1d"), reason="full")
    part = lacking(parts, root)["burgers_fno"]
    assert (part.status, part.reason) == ("blocked", "needs data set burgers_1d, which failed")
    # A reason of its own says more.
    failure.write(failure.path(root / "results", "train", "burgers_fno"), reason="too large")
    assert lacking(parts, root)["burgers_fno"].reason == "too large"


def test_a_finished_run_outlives_its_data_but_not_their_definition(whole):
    parts, root = whole
    forget(root, "burgers_1d")
    assert set(lacking(parts, root)) == {"burgers_1d"}
    finished.write_all(root, parts)
    record = root / "data" / "burgers_1d.run.json"
    finished.edit_json(record, config_digest="0" * 64)
    missing = lacking(parts, root)
    assert missing["burgers_1d"].status == missing["burgers_fno"].status == "outdated"
    assert "needs data set burgers_1d, which is of another" in missing["burgers_fno"].reason


def test_the_last_word_of_a_stage_beats_an_old_result_and_damage_beats_it(whole):
    parts, root = whole
    file = failure.path(root / "results", "train", "sine_full")
    failure.write(file, reason="loss is NaN")
    # What is whole counts, whatever happened since.
    assert lacking(parts, root) == {}
    record = root / "results" / "train" / "sine_full" / "run.json"
    finished.edit_json(record, seed=8)
    assert lacking(parts, root)["sine_full"].reason == "loss is NaN"
    record.write_text("{", encoding="utf-8")
    assert lacking(parts, root)["sine_full"].status == "damaged"


def test_a_verdict_that_its_own_record_denies_proves_nothing(whole):
    parts, root = whole
    verdict = root / "results" / "certify" / "packing_d24" / "verdict.json"
    finished.edit_json(verdict, bound="0.00192957430940392304790334556368")
    part = lacking(parts, root)["packing_d24"]
    assert part.status == "damaged"
    assert re.search(r"verdict\.json: expected proved .*69 as in run\.json", part.reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"skill": "high"}, {"relative_l2": True}, {"relative_l2": 10**400}, {"skill": [1.0]},
        {"relative_l2@64": "x"}, {"num_parameters": {}},
    ],
)  # fmt: skip
def test_a_record_whose_numbers_are_none_is_damaged(whole, changes):
    parts, root = whole
    record = root / "results" / "train" / "sine_full" / "run.json"
    summary = json.loads(record.read_text(encoding="utf-8"))["summary"]
    finished.edit_json(record, summary=summary | changes)
    assert lacking(parts, root)["sine_full"].status == "damaged"


def test_a_flow_without_its_dissipation_is_damaged(whole):
    parts, root = whole
    finished.edit_json(root / "data" / "vortex.run.json", summary={"bytes": 1})
    assert "vortex.run.json: peak_dissipation" in lacking(parts, root)["vortex"].reason


def test_metrics_and_predictions_that_cannot_be_drawn_are_damaged(whole):
    parts, root = whole
    folder = root / "results" / "train" / "sine_full"
    metrics = pd.read_parquet(folder / "metrics.parquet")
    for broken in (metrics.drop(columns="split"), metrics.head(0), metrics.assign(step=np.nan)):
        broken.to_parquet(folder / "metrics.parquet")
        assert "metrics.parquet: damaged" in lacking(parts, root)["sine_full"].reason
    metrics.to_parquet(folder / "metrics.parquet")
    arrays = finished.prediction(parts.runs["sine_full"], 0.1)
    for broken in (
        {"exact": np.zeros(3)}, arrays | {"exact": np.zeros(3)}, arrays | {"ray_exact": [np.nan]},
        arrays | {"exact": np.array(["a"])}, arrays | {"exact": np.zeros(0)},
    ):  # fmt: skip
        np.savez(folder / "prediction.npz", **broken)
        assert "prediction.npz" in lacking(parts, root)["sine_full"].reason


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_is_deleted_or_cut_nothing_is_proved_without_its_verdict(original, tmp_path, data):
    parts, source = original
    root = tmp_path / "trial"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("data", "results"):
        shutil.copytree(source / folder, root / folder)
    inner = re.compile(r"/c/")
    files = sorted(p for p in root.rglob("*") if p.is_file() and not inner.search(str(p)))
    for path in data.draw(st.lists(st.sampled_from(files), unique=True)):
        content = path.read_bytes()
        length = data.draw(st.none() | st.integers(0, len(content) - 1))
        path.unlink() if length is None else path.write_bytes(content[:length])
    missing = lacking(parts, root)
    results = found(parts, root)
    assert closing_table(results, root / "report.html").endswith("report.html\n")
    table = summary_table(results)
    assert set(table[table["quantity"] == "status"]["name"]) == set(missing)
    for name in table[table["label"] == "proved"]["name"]:
        verdict = json.loads((root / "results" / "certify" / name / "verdict.json").read_text())
        assert verdict["status"] == "proved"
        candidate = root / "results" / "search" / name / "candidate.json"
        assert candidate.read_bytes() == (source / candidate.relative_to(root)).read_bytes()


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Two bounds, in the place where the command looks for them."""
    monkeypatch.chdir(tmp_path)
    bounds = {name: finished.RAW["bounds"][name] for name in ("packing_d8", "packing_d24")}
    parts = finished.experiment(datasets={}, runs={}, bounds=bounds)
    return finished.write_named(tmp_path, "main", parts)


def test_the_command_makes_the_report_of_what_there_is(small, capsys):
    assert command.main(["main"]) == 0
    assert (small / "run.json").exists() and not (small / "incomplete.json").exists()
    complete = (small / "report.html").read_bytes()
    condition = "x < y & <script>alert(1)</script>: " + "expected more, " * 20
    shutil.rmtree(small / "certify" / "packing_d24")
    failure.write(failure.path(small, "certify", "packing_d24"), reason=condition)
    capsys.readouterr()
    assert command.main(["results/main"]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: results/main/report.html: 1 of 2 parts without a result")
    assert printed.err.count("\n") == 1
    assert "packing_d24  failed  x < y & <script>" in printed.out
    assert printed.out.endswith("report: results/main/report.html\n")
    assert not (small / "run.json").exists()
    (part,) = json.loads((small / "incomplete.json").read_text())["summary"]["missing"]
    assert (part["stage"], part["status"]) == ("certify", "failed")
    html = (small / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in html and "x &lt; y &amp; &lt;script&gt;alert(1)" in html
    assert "1 of 2 bounds" in html and "base.yaml, main.yaml; overrides: seed=7" in html
    assert "main.yaml -k &lt;b&gt;" in html and "2026-11-23 12:00 to 2026-11-23 12:01 UTC" in html
    # Mended: the same page as before, and the workflow's record is back.
    parts = finished.experiment(datasets={}, runs={})
    failure.clear(failure.path(small, "certify", "packing_d24"))
    finished.write_verdict(small, "packing_d24", parts.bounds["packing_d24"])
    assert command.main(["main"]) == 0
    assert (small / "report.html").read_bytes() == complete
    assert (small / "run.json").exists() and not (small / "incomplete.json").exists()


def test_without_a_record_of_the_start_it_is_unknown(small):
    parts = finished.experiment(datasets={}, runs={}, bounds={})
    finished.write_record(small / "run.json", "aggregate", "summary", parts, 7)
    (small / "experiment.json").unlink()
    assert command.main(["main"]) == 0
    html = (small / "report.html").read_text(encoding="utf-8")
    assert "overrides: unknown" in html and "never" in html


def test_a_wrong_name_is_one_line(small, capsys):
    for name, message in (
        ("mains", r"mains: expected an experiment with results, got none; did you mean main\?"),
        ("nothing", r"nothing: .* in results: main"),
    ):
        assert command.main([name]) == 2
        assert re.fullmatch(f"error: {message}\n", capsys.readouterr().err)
    (small / "experiment.json").write_text('{"schema_version": 1, "config": {"seed": -1}}')
    assert command.main(["main"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "experiment.json: config: " in error


def test_results_of_the_time_before_names_are_explained(small, capsys):
    finished.write_record(small / "run.json", "aggregate", "summary", finished.experiment(), 7)
    for path in small.iterdir():
        path.rename(small.parent / path.name)
    (small.parent / "experiment.json").unlink()
    small.rmdir()
    capsys.readouterr()
    for name in ("main", "results"):
        assert command.main([name]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "before experiments had names" in error
        assert "mv results/search results/certify results/run.json results/NAME" in error


def test_an_incomplete_report_is_an_error_after_all_is_written(small):
    parts = finished.experiment(datasets={}, runs={"sine_full": finished.RAW["runs"]["sine_full"]})
    with pytest.raises(stage.IncompleteError, match="train sine_full: not made yet"):
        stage.run(stage.job_of(parts, small, "0" * 64), parts, data=small)
    assert {path.name for path in small.iterdir() if path.is_file()} == {
        "experiment.json", "incomplete.json", "report.html", "summary.parquet", "summary.txt"
    }  # fmt: skip
