import pytest
from virtual_cluster import VirtualCluster, unavailable


@pytest.fixture(scope="session")
def slurm():
    """A running virtual cluster; skips where none can run."""
    if reason := unavailable():
        pytest.skip(f"a virtual SLURM {reason}")
    with VirtualCluster() as cluster:
        yield cluster
