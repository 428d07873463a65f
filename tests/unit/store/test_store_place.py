"""A store takes its place: links are followed and kept, what is not ours is never touched."""

import json
from pathlib import Path

import pytest
import zarr
from training_fixtures import make_store

from pipeline.datagen import folder, shard
from pipeline.errors import DiskError, PlaceError
from pipeline.runtime import kept
from pipeline.store import layout, place
from pipeline.store.config import Dataset

DATASET = Dataset.model_validate(
    {
        "problem": {"kind": "burgers", "viscosity": 0.1, "time_step": 0.01},
        "grid": [64],
        "num_samples": 4,
        "num_test": 2,
        "samples_per_shard": 2,
        # So large a step is quick, and right to 2e-3.
        "tolerance": 1e-2,
    }
)


def plan_for(store: Path, seed: int = 1, **changes: object) -> shard.Plan:
    return shard.Plan(DATASET.model_copy(update=changes), seed, "source", store)


def generate(plan: shard.Plan) -> None:
    """Do what the stage does, in this process."""
    done = shard.resume(plan)
    for index in set(range(plan.num_shards)) - set(done):
        done[index] = shard.make_shard(index, plan)
    shard.publish(plan, done)
    folder.finish(plan)


def tree(root: Path) -> dict[str, object]:
    """Return every path below `root` with its content, or where it leads to."""
    return {
        str(path.relative_to(root)): path.readlink()
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in root.rglob("*")
    }


@pytest.fixture
def linked(tmp_path) -> Path:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "waves.zarr").symlink_to("scratch")
    return tmp_path / "waves.zarr"


def test_a_link_is_followed_and_kept_each_time(tmp_path, linked):
    for seed in (1, 2):
        generate(plan_for(linked, seed))
        assert linked.is_symlink()
        layout.check_store(linked, DATASET, seed)
        found = {path.name for path in (tmp_path / "scratch").iterdir()}
        assert found >= {"inputs", "targets", "zarr.json"}
        assert not [name for name in found if name.startswith(".")]
        assert {path.name for path in tmp_path.iterdir()} == {"scratch", "waves.zarr"}


def test_what_a_link_and_no_link_hold_is_the_same(tmp_path, linked):
    generate(plan_for(linked))
    generate(plan_for(tmp_path / "plain.zarr"))
    assert tree(tmp_path / "scratch") == tree(tmp_path / "plain.zarr")


def notes(store):
    (store / "notes.txt").write_text("mine")


def a_folder(store):
    (store / "inputs").mkdir()
    (store / "inputs" / "mine").touch()


def a_foreign_store(store):
    zarr.create_group(store).create_array("inputs", shape=(3,), dtype="float32")


def an_array_with_notes(store):
    make_store(store / "x.zarr")
    (store / "x.zarr" / "inputs").rename(store / "inputs")
    (store / "inputs" / "notes.txt").touch()


def a_link(store):
    (store / "inputs").symlink_to(store.parent)


@pytest.mark.parametrize("is_link", [False, True])
@pytest.mark.parametrize("make", [notes, a_folder, a_foreign_store, an_array_with_notes, a_link])
def test_what_is_not_ours_is_refused_and_stays(tmp_path, make, is_link):
    store = tmp_path / "waves.zarr"
    (tmp_path / "there" if is_link else store).mkdir()
    if is_link:
        store.symlink_to("there")
    make(store)
    before = tree(tmp_path)
    with pytest.raises(PlaceError, match="waves.zarr: expected nothing, an empty folder or a st"):
        generate(plan_for(store))
    assert tree(tmp_path) == before


def test_a_store_of_ours_may_be_replaced(tmp_path):
    place.check_place(make_store(tmp_path / "waves.zarr"))
    # As Snakemake leaves it before it makes it anew.
    (tmp_path / "waves.zarr" / "zarr.json").unlink()
    generate(plan_for(tmp_path / "waves.zarr"))
    layout.check_store(tmp_path / "waves.zarr", DATASET, 1)


def test_an_unfinished_store_that_is_not_ours_is_refused_and_stays(tmp_path):
    (tmp_path / "waves.zarr.partial").mkdir()
    (tmp_path / "waves.zarr.partial" / "mine").touch()
    before = tree(tmp_path)
    with pytest.raises(PlaceError, match=r"waves.zarr.partial: expected an unfinished store of"):
        generate(plan_for(tmp_path / "waves.zarr"))
    assert tree(tmp_path) == before


def test_a_copy_that_the_user_made_beside_a_store_stays(tmp_path):
    (tmp_path / "waves.zarr.old").mkdir()
    (tmp_path / "waves.zarr.partial.mine").mkdir()
    generate(plan_for(tmp_path / "waves.zarr"))
    assert {path.name for path in tmp_path.iterdir()} == {
        "waves.zarr",
        "waves.zarr.old",
        "waves.zarr.partial.mine",
    }


@pytest.mark.parametrize("is_link", [False, True])
def test_shards_of_another_configuration_are_kept_and_found_again(tmp_path, is_link, capsys):
    store = tmp_path / "waves.zarr"
    if is_link:
        (tmp_path / "there").mkdir()
        store.symlink_to("there")
    first, second = plan_for(store), plan_for(store, num_samples=6)
    shard.resume(first)
    shard.make_shard(0, first)
    generate(second)
    aside = first.partial.with_name(f"{first.partial.name}.{first.digest[:16]}")
    assert capsys.readouterr().out == (
        f"generate waves: state of another configuration kept in {aside} (1 of 2 shards)\n"
    )
    assert set(shard.resume(first)) == {0} and not aside.exists()
    layout.check_store(store, second.dataset, 1)


def test_only_the_newest_unfinished_stores_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kept, "MOST_STATES", 1)
    for seed in (1, 2, 3):
        shard.resume(plan_for(tmp_path / "waves.zarr", seed))
    assert "state of another configuration removed" in capsys.readouterr().out
    (aside,) = tmp_path.glob("waves.zarr.partial.*")
    digest = json.loads((aside / "key.json").read_text())["digest"]
    assert digest == plan_for(tmp_path / "waves.zarr", 2).digest


def test_a_store_that_cannot_fit_is_refused_before_it_is_begun(tmp_path):
    # 0.8 of two fields of 64 numbers of 4 bytes in each sample.
    with pytest.raises(DiskError, match=r"waves.zarr: expected room for about 819,200,000,000 MB"):
        shard.resume(plan_for(tmp_path / "waves.zarr", num_samples=2 * 10**15))
    assert not list(tmp_path.iterdir())


def test_a_file_or_a_link_to_nothing_in_the_place_of_a_store_is_refused(tmp_path):
    (tmp_path / "file.zarr").touch()
    (tmp_path / "link.zarr").symlink_to("nowhere")
    for name, got in (("file", "a file"), ("link", "a link to nowhere")):
        with pytest.raises(PlaceError, match=rf"{name}.zarr: expected a folder, got {got}"):
            generate(plan_for(tmp_path / f"{name}.zarr"))
