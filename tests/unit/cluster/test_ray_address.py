"""An address where no Ray can be joined is one line, soon; nothing of Ray is started for it."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import pytest

from cluster import ray_address
from pipeline.errors import ClusterError


def refusal(address: str) -> str:
    started = time.monotonic()
    with pytest.raises(ClusterError) as failure:
        ray_address.checked(address)
    assert time.monotonic() - started < 10
    line = str(failure.value)
    assert line.startswith(f"Ray at {address[:100]}: expected ") and "\n" not in line
    return line


@pytest.mark.parametrize(
    ("address", "expected", "got"),
    [
        ("nonsense", "host:port of a running Ray", "'nonsense'"),
        ("ray://head:10001", "host:port of a running Ray", "the address of a Ray client"),
        ("http://head:80", "host:port of a running Ray", "'http://head:80'"),
        ("head:0", "a port between 1 and 65535", "0"),
        ("head:" + "9" * 5000, "a port between 1 and 65535", "99999999999999999999"),
        ("x" * 5000, "host:port of a running Ray", "x" * 100),
        ("no.such.host.invalid:6379", "a running Ray", ""),
        ("." * 300 + ":6379", "a running Ray", ""),
    ],
)
def test_what_is_no_address(address, expected, got):
    line = refusal(address)
    assert f"expected {expected}" in line and got in line and len(line) < 500


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address_of(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_nothing_listens(listener):
    address = address_of(listener)
    listener.close()
    assert "got: Connection refused; unset RAY_ADDRESS" in refusal(address)


def test_something_listens_and_says_nothing(listener, monkeypatch):
    monkeypatch.setattr(ray_address, "_TIMEOUT_S", 0.5)
    assert "got: what is none: deadline exceeded" in refusal(address_of(listener))


def test_something_else_listens(listener):
    def serve():
        while True:
            try:
                with listener.accept()[0] as connection:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    assert "got: what is none: " in refusal(address_of(listener))
    listener.close()


def test_a_search_for_a_name_that_takes_for_ever(monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(ray_address, "_TIMEOUT_S", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [] if answered.wait(60) else [])
    assert "got: no answer for 0 s" in refusal("head:6379")
    answered.set()


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "a Ray that takes this user's token, got: wrong token;"),
        (grpc.StatusCode.UNIMPLEMENTED, "a running Ray, got: what is none: unimplemented (wrong"),
    ],
)
def test_a_ray_with_another_token(listener, code, line):
    """A server that answers every question with `code`."""

    class Refuse(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(
                lambda _, context: context.abort(code, "wrong token\nmore")
            )

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Refuse()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert line in refusal(f"127.0.0.1:{port}")
    finally:
        server.stop(None)


def test_another_version(monkeypatch):
    monkeypatch.setattr(ray_address, "_connect", lambda *_: None)
    monkeypatch.setattr(ray_address, "_ask", lambda *_: SimpleNamespace(ray_version="1.0.0"))
    assert "as here, got: 1.0.0; use one version" in refusal("head:6379")
