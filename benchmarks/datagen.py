"""CPU time of data generation: Burgers against exponax, Darcy against a sparse direct solver.

`python -m benchmarks.datagen --json [--quick]`. Burgers: 1024 points, viscosity 0.1, T = 1, double
precision, ETDRK4 with the same 500 steps and 2/3 dealiasing in all arms, 16 and 64 samples a batch
and the better counts; compilation is not timed. `ours` leaves out modes that have decayed below
rounding, as the pipeline does; `fixed` is ours without that, step for step what exponax does.
Darcy: DST-preconditioned conjugate gradients to 1e-10 against SciPy's SuperLU on the same matrix,
assembly included. The arms take turns within a round; a figure is the median over rounds of the
CPU seconds of one thread a sample. The last line is one JSON object; exponax is reported absent if
not installed.
"""

import importlib.util
import os
import statistics
import time
from collections.abc import Callable, Mapping

# Read by jax and the BLAS when they are imported: one thread for every arm.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("NPROC", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from benchmarks.report import Report, parser
from pipeline.datagen.sample import stream
from pipeline.equations.burgers.config import Burgers as BurgersConfig
from pipeline.equations.burgers.generator import Burgers
from pipeline.equations.darcy import solver
from pipeline.equations.darcy.config import Darcy as DarcyConfig
from pipeline.equations.darcy.generator import Darcy

VISCOSITY, STEP, NUM_POINTS = 0.1, 2.0e-3, 1024
Arm = Callable[[], np.ndarray]


def interleave(arms: Mapping[str, Arm], rounds: int) -> tuple[dict[str, float], dict[str, object]]:
    """Return the median CPU seconds a sample of each arm, and the last results."""
    times: dict[str, list[float]] = {name: [] for name in arms}
    results: dict[str, object] = {}
    for round_number in range(rounds):
        order = list(arms) if round_number % 2 == 0 else list(reversed(arms))
        for name in order:
            started = time.process_time()
            result = arms[name]()
            times[name].append((time.process_time() - started) / len(result))
            results[name] = result
    return {name: statistics.median(seconds) for name, seconds in times.items()}, results


def exponax_arm(inputs: np.ndarray) -> Arm:
    """Return a compiled batch of exponax's conservative Burgers stepper, order 4."""
    import exponax
    import jax

    jax.config.update("jax_enable_x64", True)
    stepper = exponax.stepper.Burgers(
        1,
        1.0,
        NUM_POINTS,
        STEP,
        diffusivity=VISCOSITY,
        conservative=True,
        order=4,
    )
    rollout = jax.jit(jax.vmap(exponax.repeat(stepper, round(1 / STEP))))
    device_inputs = jax.numpy.asarray(inputs)

    def run() -> np.ndarray:
        return np.asarray(rollout(device_inputs))

    run()
    return run


def burgers(rounds: int) -> dict[str, object]:
    """Return CPU seconds a sample, ratio and difference of the results."""
    problem = Burgers(
        BurgersConfig(kind="burgers", viscosity=VISCOSITY, time_step=STEP), (NUM_POINTS,)
    )
    inputs = np.stack([problem.sample(stream(0, index)) for index in range(64)])
    arms: dict[str, Arm] = {
        "ours_16": lambda: problem.solve(inputs[:16]),
        "ours_64": lambda: problem.solve(inputs),
        "fixed_16": lambda: problem.solve(inputs[:16], adaptive=False),
        "fixed_64": lambda: problem.solve(inputs, adaptive=False),
    }
    present = importlib.util.find_spec("exponax") is not None
    if present:
        arms |= {"exponax_16": exponax_arm(inputs[:16]), "exponax_64": exponax_arm(inputs)}
    times, results = interleave(arms, rounds)
    best = {name: min(times[f"{name}_16"], times[f"{name}_64"]) for name in ("ours", "fixed")}
    found: dict[str, object] = {f"burgers_{name}_s": seconds for name, seconds in times.items()}
    if present:
        peer = min(times["exponax_16"], times["exponax_64"])
        ours, theirs = np.asarray(results["ours_64"]), np.asarray(results["exponax_64"])
        gap = np.linalg.norm(ours - theirs, axis=-1) / np.linalg.norm(theirs, axis=-1)
        found |= {
            "burgers_speedup": peer / best["ours"],
            "burgers_fixed_speedup": peer / best["fixed"],
            "burgers_relative_difference": float(gap.max()),
        }
    return found


def direct(coefficient: np.ndarray) -> np.ndarray:
    """Return u at the interior nodes of one sample by SuperLU, h² times the 5-point matrix."""
    first, second = (face[0] for face in solver.face_coefficients(coefficient[None]))
    n1, n2 = coefficient.shape[0] - 2, coefficient.shape[1] - 2
    centre = first[1:] + first[:-1] + second[:, 1:] + second[:, :-1]
    down = -first[1:-1].ravel()
    across = np.zeros((n1, n2))
    across[:, :-1] = -second[:, 1:-1]
    right = across.ravel()[:-1]
    diagonals = [centre.ravel(), down, down, right, right]
    matrix = sp.diags(diagonals, [0, n2, -n2, 1, -1], format="csc")
    spacing = 1 / (coefficient.shape[0] - 1)
    return spsolve(matrix, np.full(n1 * n2, spacing**2)).reshape(n1, n2)


def darcy(num_points: int, rounds: int) -> dict[str, object]:
    """Return CPU seconds a sample, ratio and difference of the results on one grid."""
    problem = Darcy(DarcyConfig(kind="darcy"), (num_points, num_points))
    inputs = np.stack([problem.sample(stream(0, index)) for index in range(16)])
    arms: dict[str, Arm] = {
        "ours": lambda: problem.solve(inputs),
        "direct": lambda: np.stack([direct(a) for a in inputs[:4, 0]]),
    }
    times, results = interleave(arms, rounds)
    ours = np.asarray(results["ours"])[:4, 0, 1:-1, 1:-1]
    exact = np.asarray(results["direct"])
    key = f"darcy_{num_points}"
    return {
        f"{key}_ours_s": times["ours"],
        f"{key}_direct_s": times["direct"],
        f"{key}_speedup": times["direct"] / times["ours"],
        f"{key}_relative_difference": float(np.linalg.norm(ours - exact) / np.linalg.norm(exact)),
    }


def main() -> None:
    """Run the benchmark and print its figures."""
    options = parser(__doc__, "fewer rounds and grids").parse_args()
    report = Report("datagen", options)
    rounds = 3 if options.quick else 9
    report.add(burgers(rounds))
    for num_points in (64, 241) if options.quick else (64, 128, 241, 421):
        report.add(darcy(num_points, rounds if num_points < 200 else 3))
    report.finish("exponax", "jax")


if __name__ == "__main__":
    main()
