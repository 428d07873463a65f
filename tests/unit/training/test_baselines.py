"""The baselines of operators: exact for what they can represent, and deterministic."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.training.operator import baselines as module
from pipeline.training.operator.baselines import Baselines, axis_modes, baselines


@dataclass
class Fields:
    """Arrays in place of a store."""

    inputs: np.ndarray
    targets: np.ndarray
    num_test: int = 20
    samples_per_shard: int = 10

    @property
    def input_shape(self):
        return self.inputs.shape[1:]

    @property
    def target_shape(self):
        return self.targets.shape[1:]

    def num_samples(self, split):
        return self.num_test if split == "test" else len(self.inputs) - self.num_test

    def num_shards(self, split):
        return self.num_samples(split) // self.samples_per_shard

    def read_shard(self, split, index):
        first = (0 if split == "train" else self.num_samples("train")) + index * 10
        rows = slice(first, first + self.samples_per_shard)
        return {"inputs": self.inputs[rows], "targets": self.targets[rows]}


def waves(count=120, points=48, frequencies=4, seed=0):
    """Random periodic fields of the frequencies below `frequencies`, about 3: (n, 1, N)."""
    rng = np.random.default_rng(seed)
    k = np.arange(frequencies)[:, None] * 2 * np.pi * np.arange(points) / points
    a, b = rng.standard_normal((2, count, frequencies))
    return (3 + a @ np.cos(k) + b @ np.sin(k))[:, None].astype(np.float32)


def test_a_linear_operator_is_learnt_to_rounding_and_the_mean_is_the_mean():
    u = waves()
    fields = Fields(u, np.roll(u, 5, -1) - 2 * u + 7)
    found = baselines(fields, [4], periodic=True)
    assert found.linear.max() < 1e-6
    train, test = fields.targets[:100].astype(float), fields.targets[100:].astype(float)
    expected = np.linalg.norm(test - train.mean(0), axis=2) / np.linalg.norm(test, axis=2)
    np.testing.assert_allclose(found.mean, expected[:, 0], rtol=1e-9)


def test_it_is_the_least_squares_map_where_samples_abound():
    u = waves(420)
    fields = Fields(u, np.roll(u, 3, -1) + 0.2 * u**2)
    found = baselines(fields, [3], periodic=True).linear
    x = np.fft.rfft(u[:, 0])[:, :3]
    x = np.concatenate([x.real, x.imag[:, 1:], np.ones((len(x), 1))], 1)
    x[:, 0] -= x[:, 0].mean()
    y = fields.targets[:, 0].astype(float)
    weights = np.linalg.lstsq(x[:400], y[:400], rcond=None)[0]
    errors = np.linalg.norm(x[400:] @ weights - y[400:], axis=1) / np.linalg.norm(y[400:], axis=1)
    assert found.mean() == pytest.approx(errors.mean(), rel=0.02)


def test_fewer_samples_than_modes_give_a_ridge_and_not_noise():
    rng = np.random.default_rng(0)
    grid = np.linspace(0, 1, 24)
    shapes = np.cos(np.pi * np.outer(np.arange(8), grid)) / (1 + np.arange(8))[:, None]
    a = np.einsum("nij,ix,jy->nxy", rng.standard_normal((60, 8, 8)), shapes, shapes)[:, None]
    fields = Fields(a, a + 0.5 * np.flip(a, -1) + 0.01 * rng.standard_normal(a.shape))
    found = baselines(fields, [8, 8], periodic=False)
    # 40 samples determine 40 of 225 coefficients: the rest is not made up.
    assert found.linear.mean() < 0.75 * found.mean.mean()


def test_parts_of_the_grid_give_the_numbers_of_the_whole(monkeypatch):
    u = waves()
    fields = Fields(u, u**2)
    whole = baselines(fields, [4], periodic=True)
    monkeypatch.setattr(module, "_MOST_BYTES", 8 * 7 * 10)
    parts = baselines(fields, [4], periodic=True)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


@pytest.mark.parametrize("constant", [0.0, 2.5])
def test_constant_inputs_or_targets_leave_the_mean(constant):
    u = waves()
    flat = np.full_like(u, constant)
    same = baselines(Fields(flat, u), [4], periodic=True)
    np.testing.assert_allclose(same.linear, same.mean, rtol=1e-12)
    found = baselines(Fields(u, flat), [4], periodic=True).figures(np.full(20, 0.1))
    if constant:
        assert found["baseline_linear_l2"] == found["skill"] == 0.0
    else:
        assert found == {}


def test_modes_are_inner_products_with_the_functions():
    x = np.arange(64) / 64
    periodic = axis_modes(64, 5, periodic=True)
    np.testing.assert_allclose(periodic @ np.ones(64), [1] + [0] * 8, atol=1e-14)
    np.testing.assert_allclose(
        periodic @ np.cos(6 * np.pi * x), np.eye(9)[3] / np.sqrt(2), atol=1e-14
    )
    bounded = axis_modes(65, 5, periodic=False)
    found = bounded @ np.cos(3 * np.pi * np.linspace(0, 1, 65))
    np.testing.assert_allclose(found, 0.5 * np.eye(9)[3], atol=1e-14)
    assert axis_modes(8, 16, periodic=True).shape == (7, 8)


def test_the_skill_is_that_of_the_better_baseline_with_its_standard_error():
    rng = np.random.default_rng(1)
    mean, linear, errors = rng.uniform(0.9, 1.1, 400), rng.uniform(0.2, 0.4, 400), np.zeros(400)
    errors += 0.1 * linear * rng.uniform(0.5, 1.5, 400)
    found = Baselines(mean, linear).figures(errors)
    assert found["skill"] == pytest.approx(linear.mean() / errors.mean())
    draws = rng.integers(0, 400, (2000, 400))
    spread = (linear[draws].mean(1) / errors[draws].mean(1)).std()
    assert found["skill_standard_error"] == pytest.approx(spread, rel=0.1)
