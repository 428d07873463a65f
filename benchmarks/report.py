"""What the benchmarks share: their command line, and the JSON object that ends their output."""

import argparse
import json
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from pipeline.runtime.provenance import hardware, versions


def parser(document: str, quick: str) -> argparse.ArgumentParser:
    """Return the parser of `--json` and `--quick`, to which a benchmark may add its own options.

    `document` is the benchmark's docstring; `quick` says what `--quick` leaves out.
    """
    made = argparse.ArgumentParser(description=document.splitlines()[0])
    made.add_argument("--json", action="store_true", help="print the JSON object only")
    made.add_argument("--quick", action="store_true", help=quick)
    return made


class Report:
    """The figures found so far: shown on standard error as they come, printed last as JSON."""

    def __init__(self, benchmark: str, options: argparse.Namespace, **setting: object) -> None:
        self._found: dict[str, object] = {"benchmark": benchmark, "quick": options.quick, **setting}
        self._is_silent = options.json

    def add(self, figures: Mapping[str, object]) -> None:
        """Add figures by name; show them unless only the JSON object is asked for."""
        self._found |= figures
        for name, value in figures.items() if not self._is_silent else ():
            print(f"{name:40} {value}", file=sys.stderr, flush=True)

    def finish(self, *packages: str) -> None:
        """Print all figures as one line, with the hardware and all versions; null is not installed.

        `packages`: what took part besides the packages that every record of ours names.
        """
        found = versions() | {package: _version(package) for package in packages}
        print(json.dumps({**self._found, "hardware": hardware(), "versions": found}))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
