"""A finished experiment on disk, as its stages leave it: made-up numbers, real layout."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import config
from pipeline.certify import format as certificates
from pipeline.packing import rounding, solver
from pipeline.problems.settings import InTime
from pipeline.runtime.digest import config_digest
from pipeline.runtime.provenance import hardware, versions
from pipeline.store import layout, trajectory
from pipeline.store.config import Trajectory
from pipeline.training.pinn.config import PinnRun

PINN = {
    "problem": {"kind": "two_body", "dim": 1000},
    "model": {"kind": "mlp"},
    "estimator": {"kind": "sdgd", "sampled_axes": 16},
    "train": {"num_steps": 4000},
}
RAW = {
    "schema_version": 1,
    "seed": 7,
    "datasets": {
        "burgers_1d": {
            "problem": {"kind": "burgers", "viscosity": 0.1},
            "grid": [1024],
            "num_samples": 1200,
            "num_test": 200,
        },
        "darcy_2d": {
            "problem": {"kind": "darcy"},
            "grid": [64, 64],
            "num_samples": 300,
            "num_test": 100,
        },
        "vortex": {
            "problem": {
                "kind": "navier_stokes",
                "viscosity": 0.0025,
                "initial": {"kind": "taylor_green"},
                "final_time": 10,
            },
            "grid": [96, 96, 96],
            "num_snapshots": 20,
            "ranks": 2,
        },
    },
    "runs": {
        "sine_sdgd": PINN,
        "sine_full": PINN | {"estimator": {"kind": "full"}, "train": {"num_steps": 60}},
        "burgers_fno": {
            "dataset": "burgers_1d",
            "model": {"kind": "fno", "modes": [16]},
            "train": {"num_epochs": 50, "grid_stride": 4},
        },
        "darcy_fno": {
            "dataset": "darcy_2d",
            "model": {"kind": "fno", "modes": [12, 12], "width": 32},
            "train": {"num_epochs": 20},
        },
    },
    "bounds": {
        "packing_d8": {"formulation": {"kind": "two_point", "dim": 8, "degree": 31}},
        "packing_d12": {"formulation": {"kind": "two_point", "dim": 12, "degree": 31}},
        "packing_d24": {"formulation": {"kind": "two_point", "dim": 24, "degree": 31}},
    },
}
# Optima of the three linear programs, cut: what a certificate near them proves lies above.
OPTIMA = {8: 0.2536695079010481, 12: 0.0837758309, 24: 0.00192957430940393}
PROVED = {
    8: "0.253669507901048013636633660000001",
    12: "0.08377583112",
    24: "0.00192957430940392304790334556369",
}


def experiment(**changes: object) -> config.Experiment:
    return config.Experiment.model_validate(RAW | changes)


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def edit_json(path: Path, **changes: object) -> None:
    write_json(path, json.loads(path.read_text()) | changes)


def write_record(path: Path, stage: str, name: str, part, seed: int, **summary: object) -> None:
    write_json(
        path,
        {
            "schema_version": 1,
            "stage": stage,
            "name": name,
            "seed": seed,
            "config": part.model_dump(mode="json"),
            "config_digest": config_digest(part),
            "source_digest": hashlib.sha256(stage.encode()).hexdigest(),
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "dirty": stage == "search",
            "versions": versions(),
            "hardware": hardware(),
            "started": "2026-11-23T12:00:00+00:00",
            "wall_time_s": 71.3,
            "peak_memory_mb": 812.4,
            "summary": summary,
        },
    )


def write_store(store: Path, part, seed: int) -> None:
    """Write a complete store whose shards hold one byte each: no numbers, real layout."""
    if isinstance(part, Trajectory):
        arrays = trajectory.ARRAYS
        shapes = {name: [part.num_snapshots + 1, 3, *part.grid] for name in arrays}
        count, more = 1, {"layout": trajectory.LAYOUT}
    else:
        arrays = layout.ARRAYS
        shapes = {name: [part.num_samples, 1, *part.grid] for name in arrays}
        count, more = part.num_samples // part.samples_per_shard, {}
    shards = {}
    for name, shape in shapes.items():
        grid = {"configuration": {"chunk_shape": shape}}
        write_json(store / name / "zarr.json", {"shape": shape, "chunk_grid": grid})
        shards[name] = []
        for index in range(count):
            at = [index] + [0] * (len(shape) - 1)
            file = layout.block_file(store, name, at)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"0")
            shards[name].append({"at": at, "size": 1, "file_crc32": 0, "block_crc32": 0})
    attributes = {
        "schema_version": layout.SCHEMA_VERSION, "dataset": part.model_dump(mode="json"),
        "seed": seed, "shards": shards, "complete": True,
    }  # fmt: skip
    write_json(store / "zarr.json", {"attributes": attributes | more})


def write_metrics(path: Path, pinn: bool, num_steps: int, floor: float, seconds: float) -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(1, num_steps + 1)
    decay = floor + np.exp(-6 * steps / num_steps)
    loss = decay**2 * rng.lognormal(0, 0.3, num_steps)
    rows = [("train", "loss", s, v) for s, v in zip(steps, loss, strict=True)]
    for s in steps[:: max(1, num_steps // 20)]:
        rows.append(("test", "relative_l2", s, decay[s - 1]))
        if pinn:
            rows.append(("test", "skill", s, 1 / decay[s - 1]))
    split, metric, step, value = zip(*rows, strict=True)
    step = np.array(step, dtype="int64")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(
        {
            "step": step,
            "epoch": step / 50.0,
            "split": split,
            "metric": metric,
            "value": np.array(value, dtype=float),
            "elapsed_s": seconds * step / num_steps,
        }
    ).to_parquet(path)


def write_run(results: Path, name: str, part, seed: int) -> None:
    folder = results / "train" / name
    pinn = isinstance(part, PinnRun)
    floor = {"sine_sdgd": 0.04, "sine_full": 0.5, "burgers_fno": 0.004}.get(name, 0.02)
    num_steps = part.train.num_steps if pinn else part.train.num_epochs * 50
    extra = {"skill": 1 / floor, "trivial_relative_l2": 1.0} if pinn else {}
    if not pinn:
        extra = {"skill": 0.58 / floor, "baseline_mean_l2": 1.0, "baseline_linear_l2": 0.58}
    if name == "burgers_fno":
        extra |= {"relative_l2@1024": floor, "relative_l2@256": 0.0041}
    write_record(
        folder / "run.json", "train", name, part, seed,
        relative_l2=floor, samples_per_second=5123.4, num_parameters=174_913, **extra,
    )  # fmt: skip
    write_metrics(folder / "metrics.parquet", pinn, num_steps, floor, 60.0)
    np.savez(folder / "prediction.npz", **prediction(part, floor))


def prediction(part, floor: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    if isinstance(part, PinnRun):
        exact = rng.standard_normal(500)
        radius = np.linspace(0, 1, 101)
        ray = (1 - radius**2) * np.sin(3 * radius)
        in_time = isinstance(part.problem, InTime)
        return {
            "exact": exact,
            "prediction": exact + floor * rng.standard_normal(500),
            "ray_radius": radius,
            "ray_distance": radius * (part.problem.dim**0.5 if in_time else 1.0),
            "ray_time": np.array(0.3 if in_time else np.nan),
            "ray_exact": ray,
            "ray_prediction": ray * (1 - floor),
        }
    if len(part.model.modes) == 1:
        x = np.arange(1024) / 1024
        field = np.stack([np.sin(2 * np.pi * x), np.cos(2 * np.pi * x)])[:, None]
        coordinates = x[None]
    else:
        x = np.linspace(0, 1, 64)
        coordinates = np.stack(np.meshgrid(x, x, indexing="ij"))
        field = np.sin(np.pi * coordinates[0]) * np.sin(2 * np.pi * coordinates[1]) + 0.1
        field = np.stack([field, field**2])[:, None]
    noise = rng.standard_normal(field.shape)
    return {
        "input": np.sign(field),
        "truth": field,
        "prediction": field + floor * noise,
        "coordinates": coordinates,
        "relative_l2": np.array([floor, 5 * floor]),
    }


@cache
def certificate(dim: int, degree: int = 31) -> dict[str, object]:
    """Return a certificate that the verifier accepts, of a larger bound than the made-up one."""
    quadrature = solver.solve(dim, degree, 256)
    return certificates.to_json(rounding.certificate(quadrature, precision_bits=256))


def write_bound(results: Path, name: str, part, seed: int) -> None:
    dim = part.formulation.dim
    folder = results / "search" / name
    bound = PROVED[dim]
    ladder = [
        {"parameters": {"degree": k}, "bound": f"{OPTIMA[dim] * (1 + 0.3 * np.exp(-0.9 * k)):.17f}"}
        for k in range(7, 32, 4)
    ]
    write_json(folder / "trace.json", {"schema_version": 2, "evaluations": ladder})
    write_json(folder / "candidate.json", certificate(dim))
    write_record(folder / "run.json", "search", name, part, seed, bound=bound, degree=31)
    write_verdict(results, name, part, seed=seed)


def write_verdict(results: Path, name: str, part, *, seed: int = 7, **changes: object) -> None:
    """Write a verdict, with `changes`, and the verifier's record, which agrees with it."""
    candidate = results / "search" / name / "candidate.json"
    verdict = {
        "schema_version": 1,
        "status": "proved",
        "bound": PROVED[part.formulation.dim],
        "failed_condition": None,
        "checks": [{"name": "transform", "detail": "P̂ ≥ 0 on [0, ∞): no sign change"}],
        "dim": part.formulation.dim,
        "formulation": part.formulation.kind,
        "certificate_sha256": hashlib.sha256(candidate.read_bytes()).hexdigest(),
        "seconds": 0.8,
    }
    verdict |= changes
    write_json(results / "certify" / name / "verdict.json", verdict)
    found = {key: verdict[key] for key in ("status", "bound")}
    write_record(results / "certify" / name / "run.json", "certify", name, part, seed, **found)


def reject(results: Path, name: str, part, condition: str) -> None:
    write_verdict(results, name, part, status="rejected", bound=None, failed_condition=condition)


def write_all(root: Path, parts: config.Experiment) -> tuple[Path, Path]:
    """Write everything `parts` names below `root`; return the data and results folders."""
    data, results = root / "data", root / "results"
    for name, dataset in parts.datasets.items():
        write_store(data / f"{name}.zarr", dataset, dataset.seed)
        if isinstance(dataset, Trajectory):
            write_record(
                data / f"{name}.run.json", "generate", name, dataset, dataset.seed,
                num_snapshots=dataset.num_snapshots + 1, bytes=12_000_000, max_error=2.1e-8,
                peak_dissipation=0.010957, peak_dissipation_time=6.641, resolution=1.13,
            )  # fmt: skip
            continue
        write_record(
            data / f"{name}.run.json", "generate", name, dataset, dataset.seed,
            num_samples=dataset.num_samples, seconds_per_sample=0.011, bytes=9_830_400,
            max_error=3.1e-8,
        )  # fmt: skip
    for name, run in parts.runs.items():
        write_run(results, name, run, parts.seed)
    for name, bound in parts.bounds.items():
        write_bound(results, name, bound, parts.seed)
    return data, results


def write_named(root: Path, name: str, parts: config.Experiment) -> Path:
    """Write `parts` as the experiment `name` and the record of its start; return its results."""
    results = root / "results" / name
    for run, part in parts.runs.items():
        write_run(results, run, part, parts.seed)
    for bound, part in parts.bounds.items():
        write_bound(results, bound, part, parts.seed)
    write_all(root, parts.model_copy(update={"runs": {}, "bounds": {}}))
    started = {
        "schema_version": 1, "name": name, "files": ["base.yaml", f"{name}.yaml"],
        "overrides": {"seed": parts.seed}, "seed": parts.seed, "started": "2026-11-29T02:00:00",
        "command": f"snakemake --configfile base.yaml {name}.yaml -k <b>",
        "config": parts.model_dump(mode="json"),
    }  # fmt: skip
    write_json(results / "experiment.json", started)
    return results
