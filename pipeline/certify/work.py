"""Proofs in parts: on several processes, and remembered if they are interrupted."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal
from typing import Any

from pipeline.certify import files

# What proving a part found: the number of its boxes, what is wrong ("" if it is proved), and where.
Result = tuple[int, str, list[float]]
Prover = Callable[[Any], Result]


class Work:
    """Runs parts in up to `jobs` processes; the file `state` remembers those that are proved.

    `parts` counts all parts so far, `parts_from_state` those that were not proved anew.
    """

    def __init__(self, jobs: int = 1, state: Path | None = None) -> None:
        """Take up what `state` remembers.

        Raises:
            NoVerdict: `state` is a file of somebody else.
            OSError: it cannot be written.
        """
        # More processes than cores are no faster, and too many of them stop a machine.
        self.jobs, self.state = min(jobs, len(os.sched_getaffinity(0))), state
        self.found = files.claim(state, files.STATE) if state else {}
        self.kept: dict[str, Any] = {"kind": files.STATE}
        self.parts = self.parts_from_state = 0

    def begin(self, certificate_sha256: str) -> None:
        """Believe only what this verifier proved of this certificate."""
        # A state is worth what its prover is: one line changed in it, and all is proved anew.
        sources = sorted(Path(__file__).parent.glob("*.py"))
        source = hashlib.sha256(b"".join(file.read_bytes() for file in sources)).hexdigest()
        self.kept["key"] = f"{certificate_sha256} {source}"
        same = self.found.get("key") == self.kept["key"]
        self.found = {k: v for k, v in self.found.items() if same and isinstance(v, dict)}

    def run(self, name: str, prove: Prover, parts: Sequence[Any]) -> Iterator[Result]:
        """Yield prove(part) for all parts, those that are remembered first.

        Raises:
            NoVerdict: a process was killed.
            OSError: the state cannot be written.
        """
        known = self.found.get(name, {})
        found = ((str(index), known.get(str(index))) for index in range(len(parts)))
        # Nothing but a positive number of boxes is taken from a file that others may have written.
        kept = self.kept[name] = {index: n for index, n in found if type(n) is int and n > 0}
        self.parts += len(parts)
        self.parts_from_state += len(kept)
        yield from [(n, "", []) for n in kept.values()]
        todo = {index: part for index, part in enumerate(parts) if str(index) not in kept}
        jobs, rest = min(self.jobs, len(todo)), list(todo.values())
        results = _forked(prove, rest, jobs) if jobs > 1 else map(prove, rest)
        for index, result in zip(todo, results, strict=True):
            # Only proved parts are kept: a refutation ends the proof anyway.
            if result[1:] == ("", []):
                kept[str(index)] = result[0]
                if self.state:
                    files.write_json(self.state, self.kept)
            yield result


def _forked(prove: Prover, parts: list[Any], jobs: int) -> Iterator[Result]:
    """Yield prove(part) in order: of n processes, each takes every n-th part.

    Raises:
        NoVerdict: one was killed.
    """
    # Forked processes inherit the parts, which are large: only results pass through the pipes.
    fork, workers, readers = get_context("fork"), list[Any](), list[Any]()
    try:
        for first in range(jobs):
            reader, writer = fork.Pipe(duplex=False)
            readers.append(reader)
            worker = fork.Process(target=_serve, args=(prove, parts[first::jobs], readers, writer))
            worker.start()
            workers.append(worker)
            # The worker holds the only other copy: if it is killed, `recv` raises EOFError.
            writer.close()
        for index in range(len(parts)):
            yield readers[index % jobs].recv()
    except EOFError:
        raise files.NoVerdict("a process of the proof was killed; try again, --jobs 1") from None
    finally:
        # Nobody waits for parts that no longer matter.
        for worker in workers:
            worker.kill()


def _serve(prove: Prover, parts: list[Any], readers: list[Any], writer: Any) -> None:
    # Ctrl-C reaches every process of a terminal: the one that reads answers for all.
    signal(SIGINT, SIG_IGN)
    # With no copy of the ends for reading, the death of that one ends this one, too.
    for reader in readers:
        reader.close()
    with suppress(MemoryError, BrokenPipeError):
        for part in parts:
            writer.send(prove(part))
