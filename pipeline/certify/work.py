"""Proofs in parts: on several processes, and remembered if they are interrupted."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any


class Work:
    """Runs parts in `jobs` processes; the file `state` keeps their results for the same `key`."""

    def __init__(self, jobs: int = 1, state: Path | None = None, key: str = "") -> None:
        """Take up what `state` keeps; that of another key, or an unreadable one, is ignored."""
        self.jobs, self.state = jobs, state
        self.kept: dict[str, Any] = {"key": key}
        try:
            found = json.loads(state.read_text(encoding="utf-8")) if state else {}
            self.kept = found if found["key"] == key else self.kept
        except (OSError, ValueError, LookupError, TypeError):
            pass

    def run(
        self, name: str, function: Callable[[Any], Any], parts: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """Yield (i, function(parts[i])) for all i, what is kept first; results are JSON values."""
        kept: dict[str, Any] = self.kept.setdefault(name, {})
        todo = [index for index in range(len(parts)) if str(index) not in kept]
        yield from ((int(index), result) for index, result in dict(kept).items())
        with ProcessPoolExecutor(self.jobs, get_context("fork")) as pool:
            run = pool.map if self.jobs > 1 else map
            try:
                for index, result in zip(
                    todo, run(function, [parts[i] for i in todo]), strict=True
                ):
                    kept[str(index)] = result
                    if self.state:
                        write_json(self.state, self.kept)
                    yield index, result
            finally:
                pool.shutdown(cancel_futures=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
