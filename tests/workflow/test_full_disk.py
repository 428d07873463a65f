"""A disk that fills up under a stage: one line says so, and nothing half-written stays."""

import os
import re
import shutil
import subprocess

import pytest
from harness import Checkout

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("unshare"), reason="mounting a small disk needs root"
    ),
]

# In a mount namespace of its own, so that the small disk is gone with the shell: fill it up to
# $2 KiB, run, list what is there, make room, run again, and keep what was on it.
SCRIPT = """
mkdir -p "$0" && mount -t tmpfs -o size=4m none "$0" && touch "$0/filler"
free=$(df --output=avail --block-size=1K "$0" | tail -n 1)
head -c $(( (free - $1) * 1024 )) /dev/zero > "$0/filler"
shift
"$@" > first.txt 2>&1 && exit 3
find "$0" -type f > found.txt
rm "$0/filler"
"$@" > second.txt 2>&1 || exit 4
cp -a "$0" kept && umount "$0" && rmdir "$0" && mv kept "$0"
"""


# What is left on the disk: too little for the shards; for the state of a run; for a byte.
@pytest.mark.parametrize(
    ("folder", "target", "free_kib"),
    [
        ("data", "data/waves.run.json", 60),
        ("results", "results/smoke/train/ball_sdgd/run.json", 24),
        ("results", "results/smoke/train/ball_sdgd/run.json", 0),
    ],
)
def test_a_full_disk_is_named_and_the_rerun_is_right(finished, tmp_path, folder, target, free_kib):
    checkout = Checkout.copy_to(tmp_path)
    command = ["unshare", "--mount", "sh", "-c", SCRIPT, folder, str(free_kib)]
    done = subprocess.run(
        [*command, *checkout.command(target)],
        cwd=tmp_path,
        env=checkout.environment,
        timeout=900,
        check=False,
    )
    first, second = ((tmp_path / f"{x}.txt").read_text() for x in ("first", "second"))
    assert done.returncode == 0, first + second
    (line,) = [x for x in first.splitlines() if x.startswith("error: ")]
    assert f"expected room on the file system {tmp_path}/{folder} (0 of 4 MiB free)" in line
    assert line.endswith("make room there and start again: what is finished is kept")
    found = (tmp_path / "found.txt").read_text().splitlines()
    # Beside the filler: what a rerun goes on from, whose folder it is, and why the job failed.
    kept = re.compile(r".*(/state/|\.partial/|/failed/|\.failed\.json|/experiment\.json)")
    assert [x for x in found if not kept.match(x)] == [f"{folder}/filler"]
    assert not any(x.endswith(".tmp") for x in found)
    numbers = checkout.numbers()
    assert numbers == {key: finished.numbers()[key] for key in numbers} and len(numbers) == 1
