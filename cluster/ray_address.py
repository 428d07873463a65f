"""Find out whether a Ray can be joined at an address, before Ray itself tries.

`ray.init` waits half a minute for a control store that does not answer, and then ends the process
from C++, where neither `except` nor `finally` sees it.
"""

import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from pipeline.errors import ClusterError

_TIMEOUT_S = 4.0
_FORM = "host:port of a running Ray's control store, or auto"
_REMEDY = "unset RAY_ADDRESS (and ray_address) to start one here"


def checked(address: str) -> str:
    """Return "host:port" of the Ray at `address`, which answers and lets this user in.

    Call it with Ray's variables set: it imports Ray. Takes less than ten seconds.

    Raises:
        ClusterError: `address` has another form, nothing listens there, or what does is no Ray,
            another version of it, or one with another token.
    """
    host, port = _parse(_of_this_machine() if address == "auto" else address)
    deadline = time.monotonic() + _TIMEOUT_S
    _connect(host, port, address)
    reply = _ask(f"{host}:{port}", address, max(deadline - time.monotonic(), 1.0))
    import ray

    if reply.ray_version and reply.ray_version != ray.__version__:
        raise _refusal(
            address, f"Ray {ray.__version__} as here", f"{reply.ray_version}", "use one version"
        )
    return f"{host}:{port}"


def is_loopback(address: str) -> bool:
    """Whether `address` is on this machine; Ray otherwise asks its public interface for it."""
    return address.startswith(("127.", "localhost:"))


def _refusal(address: str, expected: str, got: str, remedy: str = _REMEDY) -> ClusterError:
    return ClusterError(f"Ray at {address[:100]}: expected {expected}, got: {got}; {remedy}")


def _of_this_machine() -> str:
    """Return the address of the Ray that runs on this machine."""
    from ray._private import services

    try:
        found = services.canonicalize_bootstrap_address("auto")
    except Exception as error:
        raise _refusal("auto", "one running Ray on this machine", _first_line(error)) from None
    if found in (None, "auto"):
        raise _refusal("auto", "a running Ray on this machine", "none")
    return str(found)


def _parse(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not host or "/" in host or not (port.isascii() and port.isdigit()):
        hint = ", the address of a Ray client" if address.startswith("ray://") else ""
        raise _refusal(address, _FORM, f"{address[:100]!r}{hint}")
    if not 0 < int(port[:6]) < 2**16:
        raise _refusal(address, "a port between 1 and 65535", port[:20])
    return host, int(port)


def _connect(host: str, port: int, address: str) -> None:
    """Return if something accepts connections there."""
    failures: list[OSError | UnicodeError] = []

    def attempt() -> None:
        try:
            socket.create_connection((host.strip("[]"), port), _TIMEOUT_S).close()
        except (OSError, UnicodeError) as error:  # a name that is none
            failures.append(error)

    # A thread: the search for a name knows no time-out, and asks a dead server for half a minute.
    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(_TIMEOUT_S)
    if thread.is_alive():
        raise _refusal(address, "a running Ray", f"no answer for {_TIMEOUT_S:.0f} s")
    if failures:
        said = getattr(failures[0], "strerror", None) or failures[0]
        raise _refusal(address, "a running Ray", str(said))


def _ask(target: str, address: str, timeout_s: float) -> Any:
    """Return what the control store says of itself."""
    import grpc
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    token = _token()
    # As Ray itself does: a proxy for the web leads to no compute node.
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
        try:
            return stub.CheckAlive(
                gcs_service_pb2.CheckAliveRequest(),
                timeout=timeout_s,
                metadata=(("authorization", f"Bearer {token}"),) if token else (),
            )
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                raise _refusal(
                    address, "a Ray that takes this user's token", _first_line(error.details()),
                    "set RAY_AUTH_TOKEN_PATH to the file with the token of that Ray",
                ) from None  # fmt: skip
            said = f"{code.name.replace('_', ' ').lower()} ({_first_line(error.details())})"
            raise _refusal(address, "a running Ray", f"what is none: {said}") from None


def _token() -> str:
    """Return the token that Ray would send; nothing if it would send none, or cannot read it."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return ""
    if given := os.environ.get("RAY_AUTH_TOKEN"):
        return given.strip()
    try:
        path = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError, RuntimeError):
        return ""


def _first_line(said: object) -> str:
    return (str(said).strip().splitlines() or ["nothing"])[0][:160]
