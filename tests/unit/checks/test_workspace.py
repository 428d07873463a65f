"""The name of an experiment, and whose a folder of results is."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.checks import workspace
from pipeline.config import Experiment
from pipeline.errors import ConfigError, PlaceError
from pipeline.kinds import MAX_NAME_LENGTH, NAME_PATTERN
from pipeline.reading.documents import Document


def experiment(**keys):
    return Experiment.model_validate({"schema_version": 1, "seed": 7} | keys)


def identify(*files, overrides=None, own_name=None, **keys):
    paths = [Path(file) for file in files]
    last = Document(str(files[-1]), {"name": own_name}, f"seed: 7\nname: {own_name}\n")
    return workspace.identify(experiment(**keys), paths, overrides or {}, last)


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


def test_an_empty_name_on_the_command_line_is_none():
    # As Snakemake reads `--config name=`.
    for keys in ({}, {"own_name": "mine"}):
        assert identify("a.yaml", overrides={"name": None}, **keys) == identify("a.yaml", **keys)
    both = identify("a.yaml", overrides={"name": None, "seed": 8}, seed=8)
    assert both == identify("a.yaml", overrides={"seed": 8}, seed=8)


@given(st.text(min_size=1, max_size=300).filter(lambda x: "/" not in x and x not in (".", "..")))
def test_every_file_name_gives_a_name(stem):
    import re

    name = identify(f"{stem}.yaml", overrides={"seed": 2**62, "runs": 1}, seed=2**62).name
    assert re.fullmatch(NAME_PATTERN, name) and len(name) <= MAX_NAME_LENGTH


@pytest.mark.parametrize("name", workspace.RESERVED)
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
def test_reserved_names(name, spell):
    name = spell(name)
    for where, arguments, keys in (
        (f"{name}.yaml: its name: ", (f"{name}.yaml",), {}),
        ("b.yaml:2: name: ", ("b.yaml",), {"own_name": name}),
        ("--config: name: ", ("b.yaml",), {"overrides": {"name": name}, "name": name}),
    ):
        with pytest.raises(ConfigError, match="expected a name other than") as refused:
            identify(*arguments, **keys)
        assert str(refused.value).startswith(where) and f"got {name!r}" in str(refused.value)


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


WHOLE = {"schema_version": 1, "files": ["a.yaml"], "overrides": {}, "seed": 7}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    identity = identify("a.yaml")
    identity.results.mkdir(parents=True)
    return identity


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "\x00", "mine", '{"mine": "precious"}', json.dumps(WHOLE)[:-9], "[" * 100_000,
     *(json.dumps(WHOLE | change) for change in (
         {"files": 1}, {"files": []}, {"overrides": None}, {"seed": "1"}, {"seed": None}))],
)  # fmt: skip
def test_a_damaged_record_opens_the_folder_to_nobody(mine, text):
    path = mine.results / workspace.RECORD
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        workspace.check_owner(mine)
    assert str(refused.value).startswith(f"{path}: expected the record of an experiment")
    assert "damaged or of another program; move it away" in str(refused.value)
    assert "\n" not in str(refused.value)
    path.write_text(json.dumps(WHOLE))
    workspace.check_owner(mine)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*WHOLE]), inner),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=JSON
    | st.dictionaries(st.sampled_from([*WHOLE]), JSON | st.sampled_from([*WHOLE.values()]))
    | st.sampled_from([*WHOLE]).flatmap(lambda key: JSON.map(lambda value: WHOLE | {key: value}))
)
def test_whatever_the_record_holds_the_folder_is_its_own_experiments_alone(mine, content):
    (mine.results / workspace.RECORD).write_text(json.dumps(content))
    wanted = {key: WHOLE[key] for key in ("files", "overrides", "seed")}
    if isinstance(content, dict) and wanted.items() <= content.items():
        workspace.check_owner(mine)
        return
    with pytest.raises(ConfigError):
        workspace.check_owner(mine)


def test_a_folder_in_the_place_of_the_record_is_no_missing_record(mine):
    (mine.results / workspace.RECORD).mkdir()
    with pytest.raises(PlaceError, match="got a folder"):
        workspace.check_owner(mine)


def test_a_kill_while_the_record_is_written_locks_nobody_out(mine, monkeypatch):
    def killed(source, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", killed)
        # As `kill -9` does: what is half-written stays.
        patch.setattr(workspace.disk, "remove", lambda path: None)
        with pytest.raises(KeyboardInterrupt):
            workspace.begin(mine, experiment(), "snakemake")
    (left,) = mine.results.iterdir()
    assert left.name != workspace.RECORD
    workspace.check_owner(mine)
    workspace.begin(mine, experiment(), "snakemake")
    workspace.check_owner(mine)
