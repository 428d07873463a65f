"""What a Ray that does not start is said to have said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster import ray_cluster
from pipeline.errors import ClusterError

INFO = [
    "2026-11-29 09:04:01,807 INFO head.py:242 -- Starting dashboard metrics server on port 0",
    "2026-11-29 09:04:02,138 INFO head.py:341 -- Loaded 9 subprocess modules: [<ray.dashboard...>",
    "  <ray.dashboard.subprocesses.handle.SubprocessModuleHandle object at 0x7f>].",
    "2026-11-29 09:04:02,140 WARNING utils.py:1 -- slow",
    "[2026-11-29 09:04:02,140 I 4711 4711] (gcs_server) gcs_server.cc:1: Starting",
    "[2026-11-29 09:04:02,140 W 4711 4711] gcs_server.cc:1: Slow",
    "The last 20 lines of /tmp/ray-x/r/logs/dashboard.log (it contains the error message from the"
    " dashboard): ",
]
WRONG = {
    "2026-11-29 09:04:03,001 ERROR head.py:399 -- no port is free": "no port is free",
    "[2026-11-29 09:04:03,001 E 4711 4711] (raylet) main.cc:7: no memory":
        "(raylet) main.cc:7: no memory",
    "OSError: [Errno 98] Address already in use": "OSError: [Errno 98] Address already in use",
    "grpc.aio._call.AioRpcError: unavailable": "grpc.aio._call.AioRpcError: unavailable",
}  # fmt: skip


class Ray:
    """A Ray that does not start."""

    def __init__(self, error):
        self.error = error

    def init(self, **options):
        raise self.error


def said(text: str, kind: type[Exception] = Exception) -> str:
    """Return what the complaint quotes."""
    with pytest.raises(ClusterError) as failure:
        ray_cluster._start(Ray(kind(text)))
    line = str(failure.value)
    assert line.startswith("Ray: expected to start on ") and "\n" not in line
    return line.partition(", got: ")[2].rpartition("; see that this machine")[0]


@given(st.lists(st.sampled_from(INFO), min_size=1).filter(lambda lines: {*lines} != {INFO[2]}))
def test_a_log_without_an_error_is_a_ray_that_did_not_answer(lines):
    assert said("\n" + "\n\n".join(lines)) == "no answer within 0 s"


@given(
    st.lists(st.sampled_from(INFO), min_size=1),
    st.sampled_from([*WRONG]),
    st.lists(st.sampled_from(INFO[:2] + INFO[3:]), min_size=1),
)
def test_the_last_error_of_a_log_is_told(before, wrong, after):
    assert said("\n".join([*before, *WRONG, wrong, *after])) == WRONG[wrong]


def test_what_is_no_log_is_told_as_it_is():
    assert said("The current node timed out during startup.") == (
        "The current node timed out during startup."
    )
    assert said("first\n\nlast  line\n") == "last line"
    assert said("", TimeoutError) == "TimeoutError"
    assert said("x" * 5000) == "x" * 300
