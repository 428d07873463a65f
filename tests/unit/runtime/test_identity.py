"""What a finished result and a kept state depend on, and what they do not."""

import hashlib
import json

import pytest
from training_fixtures import pinn_run

from pipeline.runtime.digest import config_digest, is_result_of
from pipeline.runtime.identity import identity, weights_digest


def checkpoint(folder, content=b"weights"):
    folder.mkdir()
    (folder / "model.pt").write_bytes(content)
    return folder


def record_of(run, digest=None):
    return {"config": run.model_dump(mode="json"), "config_digest": digest or config_digest(run)}


def first_rule(run):
    """Return the digest of a run as results of the first versions carry it."""
    content = run.model_dump(mode="json", exclude={"train": {"num_workers"}})
    text = json.dumps([content], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def starting_from(run, path):
    return run.model_copy(update={"initial_checkpoint": path})


def test_the_weights_a_run_starts_from_count_and_not_their_path(tmp_path):
    here, there = (checkpoint(tmp_path / name) for name in ("here", "there"))
    other = checkpoint(tmp_path / "other", b"other weights")
    run = pinn_run(num_steps=10)
    digests = [config_digest(starting_from(run, path)) for path in (here, there, other)]
    assert digests[0] == digests[1] and len({*digests, config_digest(run)}) == 3


def test_weights_that_are_replaced_count_anew(tmp_path):
    folder = checkpoint(tmp_path / "a")
    before = weights_digest(folder)
    (folder / "model.pt").write_bytes(b"longer than before")
    assert weights_digest(folder) != before
    (folder / "model.pt").unlink()
    assert weights_digest(folder) is None


def test_the_identity_is_json(tmp_path):
    run = starting_from(pinn_run(num_steps=10), checkpoint(tmp_path / "a"))
    assert json.loads(json.dumps(identity(run))) == identity(run)


@pytest.mark.parametrize("digest", [first_rule, config_digest])
@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"checkpoint_every": 7, "evaluate_every": 7, "num_workers": 1, "compile": True}, True),
        ({"learning_rate": 0.5}, False),
    ],
)
def test_results_of_earlier_versions_are_still_those_of_their_run(digest, change, same):
    run = pinn_run(num_steps=10)
    record = record_of(run, digest(run))
    assert is_result_of(pinn_run(num_steps=10, **change), record) is same


def test_a_record_whose_digest_does_not_fit_its_configuration_is_of_no_run():
    run = pinn_run(num_steps=10)
    record = record_of(run, "0" * 64)
    assert not is_result_of(run, record)
