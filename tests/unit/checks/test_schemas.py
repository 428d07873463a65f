"""The stored schemas are those of the models, and files that the stages write fit both."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from certificate_examples import encoded, two_point
from finished_experiment import experiment
from jsonschema import Draft202012Validator
from mpi4py import MPI
from pydantic import ValidationError
from referencing import Registry, Resource
from training_fixtures import make_store, operator_run, pinn_run

from pipeline.aggregate import stage as report
from pipeline.certification import stage as certification
from pipeline.certify import verify
from pipeline.checks import workspace
from pipeline.checks.schemas.files import COMMAND, FOLDER, MODELS, texts
from pipeline.datagen import mpi_shard, mpi_stage, shard
from pipeline.datagen import stage as datagen
from pipeline.estimators.auto.config import Auto
from pipeline.packing import stage as packing
from pipeline.packing.config import Bound
from pipeline.parallel.world import Alone
from pipeline.runtime import failure, provenance
from pipeline.runtime.job import Job
from pipeline.store.config import Dataset, Trajectory
from pipeline.training import stage as training
from pipeline.training.worker import work

ROOT = Path(__file__).parents[3]
CERTIFICATES = sorted((ROOT / "tests/golden/certificates").glob("*.json"))
STORED = {path.name: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
REGISTRY = Registry().with_resources(
    (name, Resource.from_contents(content | {"$schema": Draft202012Validator.META_SCHEMA["$id"]}))
    for name, content in STORED.items()
)
SOURCE = "f" * 64
DATASET = Dataset(
    problem={"kind": "burgers", "viscosity": 0.1},
    grid=[32], num_samples=4, num_test=2, samples_per_shard=2,
)  # fmt: skip
FLOW = Trajectory(
    problem={
        "kind": "navier_stokes", "viscosity": 0.05, "initial": {"kind": "taylor_green"},
        "final_time": 0.1, "time_step": 0.05,
    },
    grid=[16, 16, 16], num_snapshots=2, ranks=1,
)  # fmt: skip
BOUND = Bound(formulation={"kind": "two_point", "dim": 8, "degree": 7})


def job(stage: str, folder: Path) -> Job:
    state = folder / "state" if stage in ("train", "search", "certify") else None
    return Job(stage, "x", 7, SOURCE, folder / "run.json", state=state)


def check(schema: str, text: str) -> None:
    """The text of a file fits the model and the stored schema; neither takes an unknown key."""
    validator = Draft202012Validator({"$ref": f"{schema}.schema.json"}, registry=REGISTRY)
    content = json.loads(text)
    validator.validate(content)
    MODELS[schema].model_validate_json(text)
    more = content | {"unknown": "1"}
    assert not validator.is_valid(more)
    with pytest.raises(ValidationError, match="unknown"):
        MODELS[schema].model_validate_json(json.dumps(more))


def test_the_stored_schemas_are_those_of_the_models():
    expected = dict(texts())
    assert set(FOLDER.iterdir()) == set(expected), f"run: {COMMAND}"
    for path, text in expected.items():
        assert path.read_text(encoding="utf-8") == text, f"run: {COMMAND}"


@pytest.mark.parametrize("name", STORED)
def test_a_stored_schema_is_one_and_leads_nowhere_else(name):
    Draft202012Validator.check_schema(STORED[name])
    for ref in refs(STORED[name]):
        REGISTRY.resolver(name).lookup(ref)


def refs(schema):
    if isinstance(schema, dict):
        yield from ([schema["$ref"]] if isinstance(schema.get("$ref"), str) else [])
        schema = list(schema.values())
    for child in schema if isinstance(schema, list) else []:
        yield from refs(child)


@pytest.mark.parametrize("name", MODELS)
def test_every_object_says_what_it_is(name):
    schema = STORED[f"{name}.schema.json"]
    for part in [schema, *schema.get("$defs", {}).values()]:
        assert part["description"]
        # Figures of a run are named by its task.
        is_open = part["title"] == "TrainSummary"
        assert is_open or not part.get("additionalProperties", "properties" in part), part["title"]


@pytest.mark.parametrize("path", CERTIFICATES, ids=lambda path: path.stem)
def test_candidates(path):
    check("candidate", path.read_text())


@pytest.mark.parametrize(
    "changes",
    [{"dim": 49}, {"radius": "04/1"}, {"coefficients": ["1", "-0"]}, {"schema_version": 1.0}],
    ids=str,
)
def test_a_candidate_with_another_spelling_is_none(changes):
    with pytest.raises(ValidationError):
        MODELS["candidate"].model_validate_json(encoded(two_point(8, 7), **changes))


@pytest.mark.parametrize("content", ["proved", "rejected", "no certificate"])
def test_what_certify_leaves(tmp_path, content):
    certificate, file = two_point(8, 7), tmp_path / "candidate.json"
    texts = {"proved": encoded(certificate), "rejected": encoded(certificate, radius="1/1")}
    file.write_bytes(texts.get(content, b"[]"))
    certification.run(job("certify", tmp_path), BOUND, candidate=file, num_workers=1)
    verdict = (tmp_path / "verdict.json").read_text()
    assert json.loads(verdict)["status"] == ("proved" if content == "proved" else "rejected")
    check("verdict", verdict)
    check("run", (tmp_path / "run.json").read_text())


def test_verdicts_on_no_file_and_with_a_place(tmp_path):
    verdict = verify.verdict(tmp_path / "nothing.json")
    assert verdict["certificate_sha256"] is None
    check("verdict", json.dumps(verdict))
    check("verdict", json.dumps(verdict | {"point": {"u": 1.0, "v": 2.5}}))


def test_what_a_search_leaves(tmp_path, monkeypatch):
    def solve(part, name, folder, num_workers, ray_address):
        return packing.solve(part.model_dump(mode="json"), folder)

    monkeypatch.setattr(packing, "_on_ray", solve)
    packing.run(job("search", tmp_path), BOUND, num_workers=1)
    for name in ("run", "trace", "candidate"):
        check(name, (tmp_path / f"{name}.json").read_text())


@pytest.mark.parametrize("kind", ["pinn", "operator"])
def test_what_training_leaves(tmp_path, monkeypatch, kind):
    def fit(task, num_gpus, limit):
        work(task, world=Alone(), device=torch.device("cpu"), publish=lambda now: None)

    no_ray = nullcontext(SimpleNamespace(num_gpus=0))
    monkeypatch.setattr(training, "_fit", fit)
    monkeypatch.setattr(training.ray_cluster, "session", lambda *_, **__: no_ray)
    if kind == "pinn":
        auto = {"estimator": Auto(kind="auto", sampled_axes=4)}
        run, store = pinn_run(num_steps=3).model_copy(update=auto), None
    else:
        store = make_store(tmp_path / "waves.zarr")
        run = operator_run(num_epochs=1, grid_stride=2)
    training.run(job("train", tmp_path), run, store=store)
    record = (tmp_path / "run.json").read_text()
    assert ("estimator" in json.loads(record)["summary"]) == (kind == "pinn")
    check("run", record)
    check("model", (tmp_path / "checkpoint/model.json").read_text())


def test_a_data_set_of_samples(tmp_path, monkeypatch):
    def compute(plan, missing, name, num_workers, limit):
        return {index: shard.make_shard(index, plan) for index in missing}

    monkeypatch.setattr(datagen, "_compute", compute)
    datagen.run(job("generate", tmp_path), DATASET, store=tmp_path / "x.zarr", num_workers=1)
    check("run", (tmp_path / "run.json").read_text())
    check("store", attributes(tmp_path / "x.zarr"))


def test_a_flow(tmp_path):
    plan = mpi_shard.Plan(FLOW, 7, SOURCE, tmp_path / "x.zarr")
    mpi_stage.run(MPI.COMM_SELF, plan, job("generate", tmp_path), patience_s=0)
    check("run", (tmp_path / "run.json").read_text())
    check("store", attributes(plan.store))


def attributes(store: Path) -> str:
    return json.dumps(json.loads((store / "zarr.json").read_text())["attributes"])


def test_a_record_where_nothing_is_known(tmp_path, monkeypatch):
    def unknown(*arguments):
        raise OSError

    for name in ("_commit", "versions", "hardware"):
        monkeypatch.setattr(provenance, name, unknown)
    with job("certify", tmp_path).running(BOUND) as working:
        working.summary.update(status="rejected", bound=None)
    check("run", (tmp_path / "run.json").read_text())


@pytest.mark.parametrize("is_complete", [True, False])
def test_reports(tmp_path, is_complete):
    parts = experiment(datasets={}, runs={}, bounds={} if is_complete else {"x": BOUND})
    folder = tmp_path / "results"
    folder.mkdir()
    try:
        report.run(report.job_of(parts, folder, SOURCE), parts, data=tmp_path)
    except report.IncompleteError:
        assert not is_complete
    name = "run" if is_complete else "incomplete"
    check(name, (folder / f"{name}.json").read_text())


def test_the_record_of_an_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overrides = {"seed": 8, "runs": {"x": {"train": {"num_workers": [1, 2]}}}}
    owner = workspace.identify(experiment(), [Path("a.yaml"), Path("b.yaml")], overrides)
    workspace.begin(owner, experiment(), "snakemake --configfile a.yaml b.yaml")
    check("experiment_record", (owner.results / workspace.RECORD).read_text())


def test_failures(tmp_path):
    file = failure.path(tmp_path, "train", "x")
    assert failure.write(file, reason="expected\nroom, got none")
    check("failure", file.read_text())
