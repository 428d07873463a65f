"""Who is let into the Dask of a stage, and how much of a machine its workers take."""

import socket
import ssl

import pytest
from distributed import Security

from cluster import dask_cluster
from pipeline.errors import ClusterError

MIB = 2**20


def greeting(address: str, folder, security: Security | None) -> bytes:
    """Return the first byte that a scheduler says; none to whom it turns away."""
    protocol, host, port = address.replace("//", "").split(":")
    assert protocol == "tls"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if security:
        pair = folder / "pair.pem"
        pair.write_text(security.tls_client_cert + security.tls_client_key)
        context.load_cert_chain(pair)
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        try:
            return context.wrap_socket(plain).recv(1)
        except (ssl.SSLError, ConnectionResetError):
            return b""


def test_another_user_of_the_machine_is_turned_away(tmp_path):
    with dask_cluster.client(1) as connected:
        assert connected.submit(sum, [1, 2]).result() == 3
        address = connected.scheduler.address
        assert greeting(address, tmp_path, connected.security)
        assert not greeting(address, tmp_path, Security.temporary())
        assert not greeting(address, tmp_path, None)


def test_workers_are_divided_among_nodes():
    assert dask_cluster.split(5, 3) == [2, 2, 1]
    assert dask_cluster.split(1, 2) == [1, 0]


def test_workers_share_three_quarters_and_leave_room_for_the_driver():
    assert dask_cluster.worker_memory(8000 * MIB, 2) == 3000 * MIB
    assert dask_cluster.worker_memory(1112 * MIB, 2) == 300 * MIB
    with pytest.raises(ClusterError) as failure:
        dask_cluster.worker_memory(911 * MIB, 2)
    assert str(failure.value) == (
        "Dask: expected at least 912 MB on a node for 2 workers and their driver, got 911 MB;"
        " use fewer workers (threads) or more memory (mem_mb on SLURM)"
    )
