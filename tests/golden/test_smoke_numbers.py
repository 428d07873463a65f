"""The smoke experiment still gives the numbers that are kept in `smoke.json`."""

import json

import numpy as np
import pytest
from smoke_numbers import GOLDEN, collect

pytestmark = pytest.mark.slow

# Another processor or library adds in another order. Float32 data keep 6 digits; 60 steps of
# training, with what they multiply, keep 3.
_ROUNDING = {"data": 1e-5, "train": 1e-3}


@pytest.fixture(scope="module")
def numbers(finished):
    return collect(finished.root), json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("part", ["search", "certify"])
def test_what_is_exact_is_the_same_everywhere(numbers, part):
    found, golden = numbers
    assert found[part] == golden[part]


@pytest.mark.parametrize("part", ["data", "train"])
def test_what_is_rounded_is_the_same_but_for_rounding(numbers, part):
    found, golden = numbers
    if found["machine"] == golden["machine"]:
        assert found[part] == golden[part]
    compare(found[part], golden[part], _ROUNDING[part])


def compare(found, golden, rounding, path=""):
    """Numbers agree within `rounding` of the largest beside them, anything else exactly."""
    if isinstance(golden, dict):
        assert found.keys() == golden.keys(), path
        for key in golden.keys() - {"crc32"}:
            compare(found[key], golden[key], rounding, f"{path}/{key}")
    elif isinstance(golden, (float, list)) and not isinstance(np.ravel(golden)[0], str):
        scale = np.abs(golden).max()
        np.testing.assert_allclose(found, golden, rtol=0, atol=rounding * scale, err_msg=path)
    else:
        assert found == golden, path


def test_the_comparison_sees_a_difference():
    golden = {"a": {"b": [1.0, 2.0], "crc32": 3, "n": 5}}
    compare({"a": {"b": [1.0, 2.0 + 1e-6], "crc32": 4, "n": 5}}, golden, 1e-5)
    for other in ([1.0, 2.1], [1.0]):
        with pytest.raises(AssertionError):
            compare({"a": {"b": other, "crc32": 3, "n": 5}}, golden, 1e-5)
    with pytest.raises(AssertionError):
        compare({"a": {"b": [1.0, 2.0], "crc32": 3, "n": 6}}, golden, 1e-5)
