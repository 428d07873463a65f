"""The memory of a job: the least of what the machine, control groups and SLURM leave it."""

import pytest

from cluster import memory

MIB = 2**20


def groups(tmp_path, lines, limits):
    """Return a list of control groups and the folder that shows them."""
    (tmp_path / "self").write_text("".join(f"{line}\n" for line in lines))
    for file, text in limits.items():
        path = tmp_path / "groups" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return tmp_path / "self", tmp_path / "groups"


def test_the_limits_of_a_control_group_and_its_parents(tmp_path):
    limits = {"slurm/job_7/memory.max": 3000, "slurm/memory.max": "max", "memory.max": 9000}
    shown = groups(tmp_path, ["0::/slurm/job_7/step_0"], limits)
    assert sorted(memory.of_control_groups(*shown)) == [3000, 9000]


def test_the_first_version_of_control_groups(tmp_path):
    limits = {
        "memory/job_7/memory.limit_in_bytes": 5000,
        "memory/memory.limit_in_bytes": 9223372036854771712,
        "job_7/memory.limit_in_bytes": 1,
    }
    shown = groups(tmp_path, ["9:pids:/job_7", "4:hugetlb,memory:/job_7", "0::/"], limits)
    assert sorted(memory.of_control_groups(*shown)) == [5000, 9223372036854771712]


def test_no_control_groups_at_all(tmp_path):
    assert list(memory.of_control_groups(tmp_path / "none", tmp_path)) == []


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("JOB_GRES=(null)   Nodes=n[1-2] CPU_IDs=0-1 Mem=800 GRES= MinMemoryNode=800M", [800]),
        # By CPU, and more of them on one node than on the other.
        ("Nodes=n1 CPU_IDs=0-1 Mem=600 GRES=   Nodes=n2 CPU_IDs=0 Mem=300 GRES=", [600, 300]),
        # A site that does not count memory.
        ("ReqNodes=n1\n     Nodes=n1 CPU_IDs=0,4-7 Mem=0 GRES=gpu:1(IDX:0)", []),
        ("JobState=PENDING NodeList= MinMemoryNode=800M", []),
    ],
)
def test_what_slurm_has_given_a_job_on_its_nodes(entries, expected):
    assert memory.of_job_record(f"JobId=1 {entries}") == [x * MIB for x in expected]


def test_without_an_answer_the_machine_is_the_limit(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("PATH", "")
    assert memory.limit() == min(memory.psutil.virtual_memory().total, *memory.of_control_groups())
