"""A real SLURM of two nodes on this host: `with VirtualCluster() as cluster: cluster.run(...)`.

From the shell, a command on its login node: `python tests/support/virtual_cluster.py COMMAND ...`.

The login node (with the controller) and each compute node is a shell in network, UTS, mount and
PID namespaces of its own; a bridge joins them. They share the host's file system, so a checkout
and its environment have the same path everywhere. Nothing outside the namespaces changes: the
configuration is bind-mounted over /etc/slurm inside them. It has to be at that default path,
because Snakemake strips SLURM_CONF from what runs inside a job. When the process that made the
cluster ends, even by SIGKILL, the kernel ends every process of the cluster and its networks.

Needs root and Debian's packages slurm-wlm, munge and iproute2.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from string import Template
from typing import Any, Self

import psutil

CONFIGURATION = Path("/etc/slurm")
_ADDRESSES = {"n1": "10.77.0.11", "n2": "10.77.0.12"}
NODES = tuple(_ADDRESSES)
CPUS = 4
MEMORY_MB = 16000
# `debug` exists to be too small, and `closed` to be unusable.
PARTITIONS = (
    "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP DefMemPerCPU=200",
    "PartitionName=debug Nodes=n1 MaxTime=5 State=UP DefMemPerCPU=200",
    "PartitionName=closed Nodes=ALL MaxTime=INFINITE State=DOWN DefMemPerCPU=200",
)
_PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "ip", "nsenter", "unshare", "setpriv")
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_START_S = 60.0
# Bash as the first process of a PID namespace also reaps what loses its parent.
_INIT = """
set -e
hostname "$0"
mount --bind "$1/etc" /etc/slurm
mount --bind "$1/hosts" /etc/hosts
ip link set lo up
echo ready
sleep infinity & wait
"""


def unavailable() -> str | None:
    """Return why no virtual cluster can run here, or None if one can."""
    if os.geteuid() != 0:
        return "needs root: the nodes are Linux namespaces"
    missing = [name for name in _PROGRAMS if not shutil.which(name, path=_PATH)]
    if missing:
        return f"needs {', '.join(missing)}: install slurm-wlm, munge and iproute2"
    if not CONFIGURATION.is_dir():
        return f"needs the folder {CONFIGURATION} to mount the configuration on"
    return None


def wait_until(
    happened: Callable[[], Any], what: str | Callable[[], str], timeout_s: float = _START_S
) -> Any:
    """Return `happened()` as soon as it is true; fail with `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (found := happened()):
        if time.monotonic() > deadline:
            named = what if isinstance(what, str) else what()
            raise TimeoutError(f"waited {timeout_s:.0f} s for {named}")
        time.sleep(0.05)
    return found


class Machine:
    """A shell in namespaces of its own; it and all it runs end with `kill` or with its maker."""

    def __init__(self, name: str, run: Path) -> None:
        self.name = name
        self._log = run / "log" / f"{name}.log"
        unshare = ["unshare", "--net", "--uts", "--mount", "--pid", "--mount-proc", "--fork"]
        with self._log.open("ab") as log:
            self._keeper = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *unshare, "--kill-child"]
                + ["bash", "-c", _INIT, name, str(run)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PATH": _PATH},
            )
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{name}: the namespaces could not be made")
        self._init = psutil.Process(self._keeper.pid).children()[0]
        self._space = os.readlink(f"/proc/{self._init.pid}/ns/pid")

    @property
    def pid(self) -> int:
        return self._init.pid

    def inside(self, *command: str, cwd: Path | None = None) -> list[str]:
        """Return the command line that runs `command` on this machine."""
        spaces = ["--net", "--uts", "--mount", "--pid"]
        return [
            "nsenter",
            "--target",
            str(self.pid),
            *spaces,
            "env",
            "-C",
            str(cwd or "/"),
            *command,
        ]

    def daemon(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program that stays in the foreground; its output goes to the machine's log."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self.inside(*command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PATH": _PATH},
            )

    def processes(self) -> list[psutil.Process]:
        """Return everything that runs here on behalf of jobs."""
        own = {"sleep", "slurmd", "munged", "slurmctld", "slurmscriptd"}
        return [process for process, name in self._running() if name not in own]

    def find(self, name: str) -> list[psutil.Process]:
        """Return the running processes of this name."""
        return [process for process, found in self._running() if found == name]

    def _running(self) -> Iterator[tuple[psutil.Process, str]]:
        """Yield all but the first process, by their namespace: a daemon's parent is outside."""
        for process in psutil.process_iter() if self._keeper.poll() is None else ():
            with suppress(psutil.NoSuchProcess, OSError):
                inside = os.readlink(f"/proc/{process.pid}/ns/pid") == self._space
                if inside and process != self._init and process.status() != psutil.STATUS_ZOMBIE:
                    yield process, process.name()

    def kill(self) -> None:
        """End all processes of this machine, as a power cut would, and wait until they are gone."""
        if self._keeper.poll() is None:
            self._init.kill()
        self._keeper.wait()


class VirtualCluster:
    """A controller on a login node and two compute nodes, started on entry and ended on exit."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # Short, because sockets lie below it; open, because Munge insists.
            self.run_folder = Path(tempfile.mkdtemp(prefix="slurm-"))
            stack.callback(shutil.rmtree, self.run_folder, ignore_errors=True)
            self.run_folder.chmod(0o755)
            self._write_configuration()
            self.login = Machine("login", self.run_folder)
            stack.callback(self.login.kill)
            self._ip("link", "add", "br0", "type", "bridge")
            self._ip("addr", "add", "10.77.0.1/24", "dev", "br0")
            self._ip("link", "set", "br0", "up")
            self._start_munge()
            self.start_controller()
            self.nodes: dict[str, Machine] = {}
            for name in NODES:
                self.start_node(name)
                stack.callback(self.kill_node, name)
            self._wait_until(lambda: set(self.states().values()) == {"idle"}, "idle nodes")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_node(self, name: str) -> None:
        """Connect a new machine of this name to the bridge and start its slurmd."""
        node = self.nodes[name] = Machine(name, self.run_folder)
        link = f"veth-{name}"
        peer = ("peer", "name", "eth0", "netns", str(node.pid))
        self._ip("link", "add", link, "type", "veth", *peer)
        self._ip("link", "set", link, "master", "br0", "up")
        subprocess.run(node.inside("ip", "link", "set", "eth0", "up"), check=True)
        address = ("addr", "add", f"{_ADDRESSES[name]}/24", "dev", "eth0")
        subprocess.run(node.inside("ip", *address), check=True)
        node.daemon(_program("slurmd"), "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """Cut a node's power: its slurmd and all jobs on it are gone at once."""
        self.nodes[name].kill()
        # The kernel takes the network down a moment later.
        wait_until(lambda: f"veth-{name}" not in self._ip("-brief", "link"), f"{name}'s link to go")

    def _wait_until(self, happened: Callable[[], object], what: str) -> None:
        """Return as soon as `happened()`; on a timeout show what the daemons said."""
        try:
            wait_until(happened, what)
        except TimeoutError:
            for path in sorted((self.run_folder / "log").iterdir()):
                print(f"--- {path.name}\n{path.read_text()[-3000:]}", file=sys.stderr)
            raise

    def states(self) -> dict[str, str]:
        """Return the state of each node, as the controller sees it."""
        done = self.run("sinfo", "--noheader", "--Node", "--format=%N %T", check=False)
        return (
            dict(line.split() for line in done.stdout.splitlines()) if not done.returncode else {}
        )

    def command(self, *command: str, cwd: Path | None = None) -> list[str]:
        """Return the command line that runs `command` on the login node.

        It hears Ctrl-C even where the tests do not, as when a shell started them in its background.
        """
        return self.login.inside("env", "--default-signal=INT", *command, cwd=cwd)

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout_s: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` on the login node to its end and return what it said."""
        return subprocess.run(
            self.command(*command, cwd=cwd),
            env=environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout_s,
        )

    def _ip(self, *arguments: str) -> str:
        """Run `ip` in the login node's network, naming processes as the host does."""
        command = ["nsenter", f"--net=/proc/{self.login.pid}/ns/net", _program("ip"), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def start_controller(self) -> None:
        """Start the controller; a second one takes up the jobs of the first."""
        self.login.daemon(_program("slurmctld"), "-D")

    def kill_controller(self) -> None:
        """End the controller at once, and wait until it is gone."""
        killed = self.login.find("slurmctld")
        for process in killed:
            process.kill()
        psutil.wait_procs(killed)

    def _start_munge(self) -> None:
        """Start Munge, whose socket is a file that all nodes see."""
        run = self.run_folder
        files = [f"--{x}-file={run}/munge.{x}" for x in ("key", "pid", "log", "seed")]
        self.login.daemon(
            _program("munged"), "--foreground", f"--socket={run}/munge.socket", *files
        )
        self._wait_until((run / "munge.socket").exists, "Munge")

    def _write_configuration(self) -> None:
        """Write slurm.conf, the hosts file and a new Munge key."""
        run = self.run_folder
        for name in ("etc", "log", "state", "spool", *(f"tmp/{node}" for node in NODES)):
            (run / name).mkdir(parents=True)
        offer = f"CPUs={CPUS} RealMemory={MEMORY_MB} State=UNKNOWN"
        nodes = [f"NodeName={x} NodeAddr={_ADDRESSES[x]} {offer}" for x in NODES]
        template = Template((Path(__file__).parent / "slurm.conf").read_text())
        text = template.substitute(
            run=run, nodes="\n".join(nodes), partitions="\n".join(PARTITIONS)
        )
        (run / "etc" / "slurm.conf").write_text(text)
        hosts = {"localhost": "127.0.0.1", "login": "10.77.0.1", **_ADDRESSES}
        (run / "hosts").write_text("".join(f"{ip} {name}\n" for name, ip in hosts.items()))
        (run / "munge.key").touch(mode=0o600)
        (run / "munge.key").write_bytes(os.urandom(128))


def environment(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the login node: no SLURM variable of the caller counts."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    return kept | dict(added or {})


def _program(name: str) -> str:
    """Return the path of a program that may lie in the system's sbin."""
    return shutil.which(name, path=_PATH) or name


def main(command: list[str]) -> int:
    """Run a command on the login node of a new cluster, and end the cluster after it."""
    if reason := unavailable():
        print(f"virtual_cluster: {reason}", file=sys.stderr)
        return 1
    # The exit paths below also serve a polite kill.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with VirtualCluster() as cluster:
        inside = cluster.command(*(command or ["bash"]), cwd=Path.cwd())
        return subprocess.run(inside, env=environment(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
