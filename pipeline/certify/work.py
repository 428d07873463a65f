"""Long proofs in parts: on several processes, with progress on stderr, remembered if interrupted."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any


@dataclass
class Work:
    """Runs parts of proofs in `jobs` processes; `state` remembers results under the same `key`."""

    jobs: int = 1
    state: Path | None = None
    key: str = ""
    _finished: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take up the finished parts; a state of another certificate or verifier is ignored."""
        try:
            found = json.loads(self.state.read_text()) if self.state else {}
            if found["key"] == self.key:
                self._finished = found["finished"]
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def run(
        self, name: str, function: Callable[..., Any], parts: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield (index, function(part)) as the parts end; results are plain JSON values."""
        finished = self._finished.setdefault(name, {})
        yield from ((int(index), result) for index, result in dict(finished).items())
        todo = [index for index in range(len(parts)) if str(index) not in finished]
        for index, result in self._results(function, parts, todo):
            finished[str(index)] = result
            self._save()
            yield index, result

    def report(self, line: str) -> None:
        """Write a line of progress to stderr."""
        print(line, file=sys.stderr, flush=True)

    def forget(self) -> None:
        """Delete the state: there is a verdict."""
        if self.state:
            self.state.unlink(missing_ok=True)

    def _results(
        self, function: Callable[..., Any], parts: Sequence[Any], todo: Sequence[int]
    ) -> Iterator[tuple[int, Any]]:
        if self.jobs == 1:
            yield from ((index, function(parts[index])) for index in todo)
            return
        with ProcessPoolExecutor(self.jobs, get_context("fork")) as pool:
            futures: dict[Future[Any], int] = {pool.submit(function, parts[i]): i for i in todo}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _save(self) -> None:
        if self.state:
            write_json(self.state, {"key": self.key, "finished": self._finished})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    os.replace(temporary, path)
