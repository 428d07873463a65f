"""Verify a certificate of an upper bound on the sphere packing density.

Prints the proof obligations and last the proved bound, a decimal rounded upward.
Exit status: 0 proved; 1 rejected, the failed condition or limit is named; 2 no verdict: wrong
usage, a file that must not be replaced, or a proof cut short; 130 interrupted.
"""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from pipeline.certify import files
from pipeline.certify.verify import verdict


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with one line."""
        self.exit(2, f"{self.prog}: {message:.300}\n")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status of `python -m pipeline.certify`."""
    raw, cores = argparse.RawDescriptionHelpFormatter, len(os.sched_getaffinity(0))
    parser = _Parser("python -m pipeline.certify", description=__doc__, formatter_class=raw)
    option = parser.add_argument
    option("file", type=Path, help="certificate (JSON, schema and limits in certify/format.py)")
    option("--verdict", type=Path, metavar="OUT", help="also write the verdict as JSON")
    option("--jobs", type=int, metavar="N", default=cores, help="processes, up to the cores")
    option("--state", type=Path, metavar="FILE", help="remember finished parts, go on from them")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error(f"argument --jobs: expected at least 1, got {options.jobs}")
    try:
        return _verify(options.file, options.verdict, options.jobs, options.state)
    except (files.NoVerdict, OSError) as error:
        complaint, status = f"no verdict: {str(error):.300}", 2
    except KeyboardInterrupt:
        complaint, status = "no verdict: interrupted; with --state FILE a proof goes on later", 130
    # Where stderr is closed, the exit status still tells.
    with suppress(OSError):
        print(complaint, file=sys.stderr, flush=True)
    return status


def _verify(file: Path, output: Path | None, jobs: int, state: Path | None) -> int:
    # With links followed: a verdict must not replace the certificate that it is about.
    paths = [os.path.realpath(path) for path in (file, output, state) if path]
    if len(set(paths)) < len(paths):
        raise files.NoVerdict(f"{str(file):.200}: expected other files for verdict and state")
    # A mistyped name is no certificate that fails: no verdict, instead of a rejection.
    if not os.path.lexists(file):
        raise files.NoVerdict(f"{str(file):.200}: expected a certificate file, found none")
    # Before the proof: whether there is a place for its verdict.
    if output:
        files.claim(output, files.VERDICT)
    result = verdict(file, jobs, state)
    _print_lines(result)
    if output:
        files.write_json(output, result)
    return 0 if result["status"] == "proved" else 1


def _print_lines(result: dict[str, Any]) -> None:
    lines = [f"holds     {check['name']}: {check['detail']}" for check in result["checks"]]
    if result["parts"]:
        lines.append(f"parts     {result['parts']}, from a state {result['parts_from_state']}")
    if result["status"] == "proved":
        claim = f"every sphere packing in dimension {result['dim']} has density at most"
        lines += [claim, result["bound"]]
    else:
        lines.append(f"REJECTED  {result['failed_condition']}: {result['detail']}")
    # A reader who has left has seen enough.
    with suppress(BrokenPipeError):
        print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    # All is written: the usual exit would try again what could not be, and fail aloud.
    os._exit(main())
