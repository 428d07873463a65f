"""One arm of `pinn_step` in a process of its own: `python -m benchmarks.pinn_arms ARM DIM [STDE]`.

For every line n of standard input it takes n training steps and answers with one JSON line: the CPU
time of a step in ms, its loss, and the peak memory of the process in MB. All arms take the same
step: points, source term, estimate, loss, backward pass and Adam on the Sine-Gordon two-body
problem, batch 100, 16 axes, a 128 x 4 tanh network, float32.

Arms: `collapsed_jax`, our algorithm in JAX under one jit; `stde`, the script `sine_gordon.py` of
the STDE authors, unmodified, from a checkout at STDE; any other name is an estimator of ours, with
`_compiled` after it in a run with `train.compile`.
"""

import importlib.util
import json
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

BATCH, AXES, WIDTH, DEPTH, RATE, STEPS = 100, 16, 128, 4, 1e-3, 10_000


class Turns:
    """The steps that the parent asks for: one item each, and an answer after each request."""

    def __init__(self, answers: TextIO, wait: Callable[[], object]) -> None:
        self.answers, self.wait = answers, wait
        self.loss = math.nan

    def __iter__(self) -> Iterator[int]:
        step = 0
        for line in sys.stdin:
            start = time.process_time()
            for _ in range(int(line)):
                yield step
                step += 1
            self.wait()
            answer = {
                "ms": (time.process_time() - start) / int(line) * 1e3,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "loss": self.loss,
            }
            print(json.dumps(answer), file=self.answers, flush=True)


def ours(kind: str, dim: int, answers: TextIO) -> None:
    """Take steps of our training task with the estimator `kind`, or `<kind>_compiled`."""
    import torch

    from pipeline.optimizers.base import Batch
    from pipeline.parallel.world import Alone
    from pipeline.training.pinn.config import PinnRun
    from pipeline.training.pinn.task import Task

    torch.set_num_threads(1)
    estimator = kind.removesuffix("_compiled")
    sizes: dict[str, dict[str, int]] = {
        "full": {},
        "exact_gram": {},
        "taylor": {"num_directions": AXES},
    }
    run = PinnRun.model_validate(
        {
            "problem": {"kind": "two_body", "dim": dim},
            "model": {"kind": "mlp", "width": WIDTH, "depth": DEPTH},
            "estimator": {"kind": estimator, **sizes.get(estimator, {"sampled_axes": AXES})},
            "train": {
                "num_steps": STEPS, "learning_rate": RATE, "batch_size": BATCH,
                "num_test_points": 1, "optimizer": {"kind": "adam", "decay": "linear"},
                "compile": estimator != kind,
            },
        }
    )  # fmt: skip
    task = Task(run, 0, torch.device("cpu"))
    optimizer = task.optimizer()
    turns = Turns(answers, lambda: None)
    for step in turns:
        turns.loss = optimizer.update(task, Batch(step, Alone()))


def collapsed_jax(dim: int, answers: TextIO) -> None:
    """Take steps of the collapsed algorithm in JAX, points and source in the same jit."""
    import jax
    import numpy as np
    import optax
    from jax import numpy as jnp

    rng = np.random.default_rng(0)
    widths = [dim, *[WIDTH] * (DEPTH - 1), 1]

    def network(dim: int) -> list[tuple[jax.Array, jax.Array]]:
        sizes = list(zip([dim, *widths[1:-1]], widths[1:], strict=True))
        scales = [0.03, *(1.0 / math.sqrt(m) for m, _ in sizes[1:])]
        draw = [s * rng.standard_normal(size) for s, size in zip(scales, sizes, strict=True)]
        return [(jnp.float32(w), jnp.zeros(w.shape[1], jnp.float32)) for w in draw]

    def source(x: jax.Array, c: jax.Array) -> jax.Array:
        a, y, cos, sin = x[:, :-1], x[:, 1:], jnp.cos(x), jnp.sin(x)
        shift = cos[:, 1:] + y * cos[:, :-1]
        sin_s, cos_s = jnp.sin(a + shift), jnp.cos(a + shift)
        s_x, s_y = 1.0 - y * sin[:, :-1], cos[:, :-1] - sin[:, 1:]
        sigma = (c * sin_s).sum(1)
        slope = (c * cos_s * (a * s_x + y * s_y)).sum(1)
        curvature = -(c * (cos_s * shift + sin_s * (s_x**2 + s_y**2))).sum(1)
        q = 1.0 - (x * x).sum(1)
        laplacian = q * curvature - 4.0 * slope - 2.0 * x.shape[1] * sigma
        return laplacian + jnp.sin(q * sigma)

    def operator(params: Any, x: jax.Array, axes: jax.Array) -> jax.Array:
        dim = x.shape[1]
        (w, bias), *rest = params
        value, first, second = x @ w + bias, w[axes][None], jnp.zeros((len(x), w.shape[1]))
        for w, bias in rest:
            h = jnp.tanh(value)
            g = 1.0 - h * h
            second = g * (second - 2.0 * h * (first * first).sum(1))
            value, first, second = h @ w + bias, (g[:, None] * first) @ w, second @ w
        n, first, second = value[:, 0], first[..., 0], second[:, 0]
        q = 1.0 - (x * x).sum(1)
        scale = dim / len(axes)
        laplacian = scale * (q * second - 4.0 * (x[:, axes] * first).sum(1)) - 2.0 * dim * n
        return laplacian + jnp.sin(q * n)

    _check_jax(network, source, operator)
    c = rng.standard_normal(dim - 1)
    c = jnp.float32(c - c.mean())
    optimizer = optax.adam(optax.linear_schedule(RATE, 0.0, STEPS))

    def loss(params: Any, x: jax.Array, f: jax.Array, axes: jax.Array) -> jax.Array:
        return (((operator(params, x, axes) - f) / (2.0 * dim)) ** 2).mean()

    def update(params: Any, state: Any, key: jax.Array) -> Any:
        key, of_points, of_radii, of_axes = jax.random.split(key, 4)
        x = jax.random.normal(of_points, (BATCH, dim))
        x *= jax.random.uniform(of_radii, (BATCH, 1)) / jnp.linalg.norm(x, axis=1, keepdims=True)
        axes = jax.random.choice(of_axes, dim, (AXES,), replace=False)
        value, grads = jax.value_and_grad(loss)(params, x, source(x, c), axes)
        changes, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, changes), state, key, value

    params = network(dim)
    state, key = optimizer.init(params), jax.random.key(0)
    compiled = jax.jit(update, donate_argnums=(0, 1))
    turns = Turns(answers, _wait_for_jax)
    for _ in turns:
        params, state, key, value = compiled(params, state, key)
        turns.loss = float(value)


def _check_jax(network: Any, source: Any, operator: Any) -> None:
    """Raise unless source and operator are those of dense Hessians in five dimensions."""
    import jax
    import numpy as np
    from jax import numpy as jnp

    x, c = jnp.float32(0.3 * np.random.default_rng(1).standard_normal((3, 5))), jnp.arange(4.0)
    params = network(5)

    def exact(x: jax.Array) -> jax.Array:
        a, y = x[:-1], x[1:]
        return (1.0 - x @ x) * (c * jnp.sin(a + jnp.cos(y) + y * jnp.cos(a))).sum()

    def trial(x: jax.Array) -> jax.Array:
        h = x
        for w, bias in params[:-1]:
            h = jnp.tanh(h @ w + bias)
        return (1.0 - x @ x) * (h @ params[-1][0])[0]

    for u, ours in ((exact, source(x, c)), (trial, operator(params, x, jnp.arange(5)))):
        dense = jax.vmap(lambda p, u=u: jnp.trace(jax.hessian(u)(p)) + jnp.sin(u(p)))(x)
        if not jnp.allclose(dense, ours, rtol=1e-4, atol=1e-4):
            raise RuntimeError(f"collapsed_jax: expected {dense}, got {ours}")


def stde(dim: int, checkout: Path, answers: TextIO) -> None:
    """Take the steps of `sine_gordon.py`: its progress bar hands out ours instead of its own."""
    file = checkout / "sine_gordon.py"
    # One batch of test points, evaluated at the first step only.
    options = {
        "dim": dim, "epochs": STEPS, "lr": RATE, "PINN_h": WIDTH, "PINN_L": DEPTH, "N_f": BATCH,
        "rand_batch_size": AXES, "N_test": 1, "test_batch_size": 1, "eval_every": 10 * STEPS,
    }  # fmt: skip
    arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
    sys.argv = [str(file), *arguments, "--sparse"]
    spec = importlib.util.spec_from_file_location("sine_gordon", file)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    turns = Turns(answers, _wait_for_jax)
    module.tqdm = lambda items, **shown: items if shown else turns
    module.train()


def _wait_for_jax() -> None:
    import jax

    jax.block_until_ready(jax.live_arrays())


def main() -> None:
    """Serve one arm until the end of standard input; what libraries print goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    kind, dim, *checkout = sys.argv[1:]
    if kind == "stde":
        stde(int(dim), Path(*checkout), answers)
    elif kind == "collapsed_jax":
        collapsed_jax(int(dim), answers)
    else:
        ours(kind, int(dim), answers)


if __name__ == "__main__":
    main()
