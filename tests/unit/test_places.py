"""What stands in the place of a result is ours, or is refused before any job."""

import copy
import json
from pathlib import Path

import pytest
from training_fixtures import make_store, pinn_run

from pipeline.config import Experiment
from pipeline.errors import CheckpointError, PlaceError
from pipeline.places import check_places
from pipeline.preflight import check_inputs, makers

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
     "results/mine/train/p/checkpoint", "results/mine/state", "logs", "data/waves.zarr"],
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


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("results")])
@pytest.mark.parametrize("record", ["results/mine/experiment.json", "results/mine/run.json"])
def test_results_without_a_record_are_anothers(file, record):
    put(file)
    with pytest.raises(PlaceError, match=rf"{file}: expected nothing or a result .* got a file"):
        check()
    put(record, "{}")
    check()


def test_a_record_of_a_data_set_is_known_by_what_it_says():
    put("data/waves.run.json", '{"mine": 1}')
    with pytest.raises(PlaceError, match=r"data/waves.run.json: expected nothing or the record"):
        check()
    put("data/waves.run.json", json.dumps({"stage": "generate"}))
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
