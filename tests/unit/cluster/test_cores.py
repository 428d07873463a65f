"""The cores that a process may use: those it is bound to, or its quota of their time."""

import pytest

from cluster import cores


@pytest.mark.parametrize(
    ("groups", "files", "quotas"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n", "a/cpu.max": "max 100000\n"}, [2]),
        ("0::/\n", {"cpu.max": "400000 100000"}, [4]),
        (
            "3:cpu,cpuacct:/x\n2:memory:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "50000", "cpu/x/cpu.cfs_period_us": "100000"},
            [1],
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, []),
        ("0::/\n", {"cpu.max": "nonsense"}, []),
    ],
)
def test_quotas_of_control_groups(tmp_path, groups, files, quotas):
    (tmp_path / "cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(cores.of_control_groups(tmp_path / "cgroup", tmp_path / "root")) == quotas


def test_at_least_one_core_and_no_more_than_there_are():
    assert cores.limit() >= 1
