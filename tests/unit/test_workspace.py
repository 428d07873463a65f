"""The name of an experiment, and whose a folder of results is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import workspace
from pipeline.config import MAX_NAME_LENGTH, NAME_PATTERN, Experiment
from pipeline.errors import ConfigError


def experiment(**keys):
    return Experiment.model_validate({"schema_version": 1, "seed": 7} | keys)


def identify(*files, overrides=None, own_name=None, **keys):
    paths = [Path(file) for file in files]
    return workspace.identify(experiment(**keys), paths, overrides or {}, own_name)


def test_the_last_file_names_the_experiment():
    assert identify("configs/a.yaml").name == "a"
    assert identify("a.yaml", "b.json").name == "b"
    # The base's own name is not that of the overlay.
    assert identify("a.yaml", "b.yaml", name="base").name == "b"
    assert identify("a.yaml", own_name="mine", name="mine").name == "mine"


def test_overrides_are_told_apart():
    names = {
        identify("a.yaml", overrides=overrides, **keys).name
        for overrides, keys in (
            ({}, {}),
            ({"seed": 8}, {"seed": 8}),
            ({"runs": {}}, {}),
            ({"bounds": {}}, {}),
            ({"seed": 8, "runs": {}}, {"seed": 8}),
        )
    }
    assert len(names) == 5 and "a-seed8" in names
    assert identify("a.yaml", overrides={"name": "x", "seed": 8}, name="x", seed=8).name == "x"


@given(st.text(min_size=1, max_size=300).filter(lambda x: "/" not in x and x not in (".", "..")))
def test_every_file_name_gives_a_name(stem):
    import re

    if workspace.Path(f"{stem}.yaml").stem in workspace.RESERVED:
        return
    name = identify(f"{stem}.yaml", overrides={"seed": 2**62, "runs": 1}, seed=2**62).name
    assert re.fullmatch(NAME_PATTERN, name) and len(name) <= MAX_NAME_LENGTH


@pytest.mark.parametrize("name", workspace.RESERVED)
def test_reserved_names(name):
    with pytest.raises(ConfigError, match="expected a name other than"):
        identify(f"{name}.yaml")


def test_only_the_same_experiment_gets_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = identify("a.yaml")
    workspace.check_owner(mine)
    workspace.begin(mine, experiment(), "snakemake --configfile a.yaml")
    workspace.check_owner(mine)
    for other in (
        identify("b/a.yaml"),
        identify("base.yaml", "a.yaml"),
        identify("a.yaml", seed=8),
        identify("a.yaml", overrides={"name": "a", "runs": {}}, name="a"),
    ):
        assert other.results == mine.results
        with pytest.raises(ConfigError) as refused:
            workspace.check_owner(other)
        assert "\n" not in str(refused.value)
    record = workspace.read(mine.results)
    assert record["command"] == "snakemake --configfile a.yaml"
    assert Experiment.model_validate(record["config"]) == experiment()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1}', "\x00"])
def test_a_damaged_record_belongs_to_nobody(tmp_path, text):
    (tmp_path / workspace.RECORD).write_text(text, encoding="utf-8")
    assert workspace.read(tmp_path) is None
