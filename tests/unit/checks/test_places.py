"""What stands in the place of a result is ours, or is refused before any job."""

import copy
import json
import re
from pathlib import Path

import pytest
from training_fixtures import make_store, pinn_run

from pipeline.checks import places, workspace
from pipeline.checks.inputs import check_inputs, makers
from pipeline.checks.places import check_places
from pipeline.config import Experiment
from pipeline.errors import CheckpointError, ConfigError, PlaceError
from pipeline.runtime import failure, ours, ownership, provenance

RUN = pinn_run(num_steps=10).model_dump(mode="json")
RESULTS = Path("results/mine")


def experiment(**runs: dict) -> Experiment:
    return Experiment.model_validate(
        {
            "schema_version": 1,
            "seed": 1,
            "datasets": {
                "waves": {
                    "problem": {"kind": "burgers", "viscosity": 0.1},
                    "grid": [32],
                    "num_samples": 60,
                    "num_test": 20,
                    "samples_per_shard": 20,
                }
            },
            "runs": runs or {"p": RUN},
            "bounds": {"e8": {"formulation": {"kind": "two_point", "dim": 8, "degree": 11}}},
        }
    )


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def check() -> None:
    check_places(experiment(), Path("data"), RESULTS, Path("logs/mine"))


def put(path: str, text: str = "mine") -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return Path(path)


def link(path: str, to: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).symlink_to(to)


def test_an_empty_project_is_free():
    check()


@pytest.mark.parametrize(
    "folder",
    ["data", "results", "results/mine", "results/mine/train", "results/mine/train/p",
     "results/mine/train/p/checkpoint", "results/mine/state", "results/mine/state/train", "logs",
     "data/waves.zarr"],
)  # fmt: skip
def test_a_folder_may_be_a_link_to_a_folder_and_not_to_nothing(tmp_path, folder):
    link(folder, str(tmp_path / "scratch"))
    with pytest.raises(PlaceError, match=r"expected a folder, got a link to .*scratch"):
        check()
    (tmp_path / "scratch").mkdir()
    check()


FILES = [
    "data/waves.run.json", "results/mine/report.html", "results/mine/train/p/metrics.parquet",
    "results/mine/train/p/checkpoint/model.pt", "results/mine/search/e8/candidate.json",
    "results/mine/certify/e8/verdict.json", "logs/mine/train/p.log", "logs/generate/waves.log",
    "data/waves.failed.json", "logs/benchmark/generate/waves.tsv", "results/mine/incomplete.json",
    "results/mine/failed/train.p.json",
]  # fmt: skip


@pytest.mark.parametrize("file", FILES)
def test_a_link_or_a_folder_in_the_place_of_a_file_is_refused(file):
    put("notes.txt")
    link(file, str(Path("notes.txt").absolute()))
    with pytest.raises(PlaceError, match=rf"{file}: expected a file of .* got a link to .*notes"):
        check()
    Path(file).unlink()
    Path(file).mkdir()
    with pytest.raises(PlaceError, match=rf"{file}: expected a file of .*, got a folder"):
        check()


@pytest.mark.parametrize("folder", ["data", "results", "results/mine/train", "logs/mine"])
def test_a_file_in_the_place_of_a_folder_is_refused(folder):
    put(folder)
    with pytest.raises(PlaceError, match=rf"{folder}: expected a folder, got a file"):
        check()


REPORTED = ["results/mine/report.html", "results/mine/summary.parquet"]
IN_RESULTS = [file for file in FILES if file.startswith("results/") and "/failed/" not in file]
STAGES = {"train": "p", "search": "e8", "certify": "e8"}


def write_down_the_start() -> None:
    """Do what Snakemake does before its first job."""
    owner = workspace.identify(experiment(), [Path("mine.yaml")], {})
    assert owner.results == RESULTS
    workspace.check_owner(owner)
    workspace.begin(owner, experiment(), "snakemake")


def write_record(stage: str, part: object, seed: int = 1) -> None:
    folder = RESULTS if stage == "aggregate" else RESULTS / stage / STAGES[stage]
    name = STAGES.get(stage, "summary")
    with provenance.record(
        folder / "run.json", stage=stage, name=name, seed=seed, config=part, source="source"
    ):
        pass


def part_of(stage: str, whole: Experiment) -> object:
    parts = {"train": whole.runs.get("p"), "aggregate": whole}
    return parts[stage] if stage in parts else whole.bounds["e8"]


def refused(match: str) -> None:
    """See the check refuse with one line, and leave all files as they are."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    with pytest.raises(PlaceError, match=match) as refusal:
        check()
    assert "\n" not in str(refusal.value)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("file", IN_RESULTS)
def test_results_without_a_record_are_anothers(file):
    put(file)
    refused(rf"{file}: expected nothing or a result .* got a file")
    write_down_the_start()
    check()


FOREIGN = ["mine", '{"mine": "precious"}', "{}", "[]", '{"stage": "aggregate"}', "\0" * 9,
           '{"stage": "train", "seed": 1}']  # fmt: skip


@pytest.mark.parametrize("text", FOREIGN)
def test_a_record_of_another_program_makes_nothing_ours(text):
    for file in ("results/mine/run.json", "results/mine/train/p/run.json"):
        put(file, text)
        refused(rf"{file}: expected nothing or a result")
        Path(file).unlink()
    put("results/mine/experiment.json", text)
    for file in REPORTED:
        put(file)
    with pytest.raises(ConfigError, match=r"mine/experiment.json: expected the record of an exp"):
        check()


@pytest.mark.parametrize("stage", ["aggregate", *STAGES])
def test_results_of_no_known_experiment_are_ours_if_their_record_is_of_this_one(stage):
    """As those that were made before experiments had names, moved to this one's folder."""
    part, other = part_of(stage, experiment()), part_of(stage, experiment(q=RUN))
    write_record(stage, part)
    check()
    write_record(stage, part, seed=2)
    refused(r"expected results of this very experiment, because experiment.json")
    if stage == "aggregate":
        write_record(stage, other)
        refused(rf"{RESULTS}: expected results of this very experiment")
    write_record(stage, part)
    if stage == "train":
        (RESULTS / "train" / "p" / "metrics.parquet").touch()
        changed = copy.deepcopy(RUN) | {"train": RUN["train"] | {"num_steps": 11}}
        write_record(stage, experiment(p=changed).runs["p"])
        refused(r"results/mine/train/p: expected results of this very experiment")
        # Snakemake makes them anew in a folder that is this experiment's.
        write_down_the_start()
    check()


def test_a_report_of_this_experiment_makes_its_folder_ours():
    put("results/mine/train/p/metrics.parquet")
    put("results/mine/report.html")
    refused("report.html: expected nothing or a result")
    write_record("aggregate", experiment())
    check()


RECORDS = ["data/waves.run.json", "data/waves.failed.json", "results/mine/failed/train.p.json",
           "results/mine/failed/search.e8.json", "results/mine/failed/certify.e8.json"]  # fmt: skip


@pytest.mark.parametrize("file", RECORDS)
def test_a_record_is_known_by_what_it_says(file):
    for text in ("mine", '{"precious": 1}', "[1]", "\0" * 9, '{"stage": "generate"}'):
        put(file, text)
        refused(rf"{file}: expected nothing or the record of a (data set|failure), got another")
    Path(file).unlink()
    assert failure.write(Path(file), reason="no room")
    check()
    text = Path(file).read_text()
    for damaged in ("", text[:50], text.replace("no room", "\0")):
        put(file, damaged)
        check()


def test_a_record_of_a_stage_is_known():
    dataset = experiment().datasets["waves"]
    with provenance.record(
        Path("data/waves.run.json"),
        stage="generate",
        name="waves",
        seed=1,
        config=dataset,
        source="",
    ):
        pass
    check()


LOGS = ["logs/generate/waves.log", "logs/mine/train/p.log", "logs/mine/search/e8.log",
        "logs/mine/certify/e8.log", "logs/mine/aggregate.log"]  # fmt: skip
TABLES = [
    file.replace("/generate/", "/benchmark/generate/") if "/generate/" in file
    else file.replace("logs/mine/", "logs/mine/benchmark/")
    for file in (log.replace(".log", ".tsv") for log in LOGS)
]  # fmt: skip


@pytest.mark.parametrize("file", LOGS + TABLES)
def test_a_log_is_known_by_its_first_line_or_by_what_was_made_with_it(file):
    put(file, "precious\n")
    refused(rf"{file}: expected nothing or .* got another file; move it away")
    put(file, f"{ours.LOG_LINE}\nmore\n" if file in LOGS else "s\th:m:s\tmax_rss\n1\t0:00:01\t9\n")
    check()
    # One of a version whose logs had no first line.
    put(file, "Ray dashboard: off\n")
    if "/generate/" in file:
        make_store(Path("data/waves.zarr"))
    else:
        write_down_the_start()
    check()


@pytest.mark.parametrize(
    "folder",
    ["data/waves.zarr.partial", "results/mine/state/train/p", "results/mine/state/search/e8"],
)
def test_a_lock_is_known_by_its_signature(folder):
    put(f"{folder}.lock", "precious")
    refused(rf"{folder}.lock: expected nothing or a lock, got another file")
    Path(f"{folder}.lock").unlink()
    with ownership.alone(Path(folder)):
        check()
        held = Path(f"{folder}.lock").read_text()
    # As a kill leaves it.
    put(f"{folder}.lock", held)
    check()


def test_what_the_workflow_writes_is_what_is_checked():
    """The logs and tables of all rules are those above."""
    rules = Path(places.__file__).parents[2] / "workflow" / "rules"
    text = "".join(path.read_text() for path in rules.glob("*.smk"))
    found = re.findall(r'(?:log|benchmark):\n\s+f?"(.*)"', text)
    values = {"{LOGS}": "logs/mine", "dataset": "waves", "run": "p", "bound": "e8"}
    named = {re.sub(r"\{+(\w+)\}+", lambda x: values.get(x[0], values.get(x[1])), x) for x in found}
    assert named == {*LOGS, *TABLES}


def test_a_folder_in_the_place_of_an_unfinished_store_is_refused():
    partial = put("data/waves.zarr.partial/mine").parent
    refused(r"data/waves.zarr.partial: expected an unfinished store of this pipeline or nothing")
    put(f"{partial}/key.json", '{"mine": 1}')
    refused("expected an unfinished store")
    # As a killed run leaves it, whatever its configuration.
    put(f"{partial}/key.json", json.dumps({"digest": "0" * 64, "records": "shards", "total": 4}))
    check()


def test_what_is_not_written_may_be_anything():
    for name in ("data/notes.txt", "results/mine/notes.txt", "results/mine/train/other/run.json"):
        put(name)
    check()


def test_a_store_of_ours_is_free_and_another_is_not():
    make_store(Path("data/waves.zarr"))
    check()
    put("data/waves.zarr/notes.txt")
    with pytest.raises(PlaceError, match=r"data/waves.zarr: expected nothing, .* got notes.txt"):
        check()


def starting(path: str, **changes: object) -> dict:
    run = copy.deepcopy(RUN)
    run["model"].update(changes)
    return run | {"initial_checkpoint": path}


def test_a_checkpoint_of_another_run_of_the_experiment_need_not_be_there():
    path = "results/mine/train/p/checkpoint"
    both = experiment(p=RUN, again=starting(path), more=starting(f"./{path}/"))
    assert makers(both, RESULTS) == {"again": "p", "more": "p"}
    check_inputs(both, Path("data"), RESULTS)
    elsewhere = experiment(p=RUN, again=starting("results/other/train/p/checkpoint"))
    assert makers(elsewhere, RESULTS) == {}
    with pytest.raises(CheckpointError, match=r"runs.again.initial_checkpoint: results/other"):
        check_inputs(elsewhere, Path("data"), RESULTS)


def test_a_run_that_starts_from_another_model_or_from_itself_is_refused():
    path = "results/mine/train/{}/checkpoint"
    other = experiment(p=RUN, again=starting(path.format("p"), width=99))
    with pytest.raises(CheckpointError, match=r"runs.again.*: expected the model of runs.again"):
        check_inputs(other, Path("data"), RESULTS)
    circle = experiment(a=starting(path.format("b")), b=starting(path.format("a")))
    with pytest.raises(CheckpointError, match="got a circle: a from b from a"):
        check_inputs(circle, Path("data"), RESULTS)
