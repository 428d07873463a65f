import pytest
from virtual_cluster import VirtualCluster, unavailable, wait_until


@pytest.fixture(scope="session")
def slurm():
    """A running virtual cluster; skips where none can run."""
    if reason := unavailable():
        pytest.skip(f"a virtual SLURM {reason}")
    with VirtualCluster() as cluster:
        yield cluster


@pytest.fixture
def repaired(slurm):
    """Bring every node back after the test."""
    yield
    for name, node in slurm.nodes.items():
        if not node.find("slurmd"):
            slurm.kill_node(name)
            slurm.start_node(name)
        if slurm.states()[name] != "idle":
            slurm.run("scontrol", "update", f"NodeName={name}", "State=RESUME", check=False)
    wait_until(lambda: set(slurm.states().values()) == {"idle"}, "idle nodes")
