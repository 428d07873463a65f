"""Verify a certificate of an upper bound on the sphere packing density.

Prints the proof obligations and last the proved bound, a decimal rounded upward.
Exit status: 0 proved, 1 rejected (the failed condition is named), 2 wrong usage.
"""

import argparse
import os
import sys
from pathlib import Path

from pipeline.certify.verify import verdict
from pipeline.certify.work import write_json


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status of `python -m pipeline.certify`."""
    options = _parser().parse_args(arguments)
    file: Path = options.file
    if not file.is_file():
        print(f"{file}: expected a certificate file, found none", file=sys.stderr)
        return 2
    result = verdict(file, options.jobs, options.state)
    if options.verdict is not None:
        try:
            write_json(options.verdict, result)
        except OSError as error:
            print(f"{options.verdict}: cannot write: {error.strerror}", file=sys.stderr)
            return 2
    for check in result["checks"]:
        print(f"holds     {check['name']}: {check['detail']}")
    if result["status"] != "proved":
        print(f"REJECTED  {result['failed_condition']}: {result['detail']}")
        return 1
    print(f"every sphere packing in dimension {result['dim']} has density at most")
    print(result["bound"])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.certify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="certificate (JSON, schema in certify/format.py)")
    parser.add_argument(
        "--verdict", type=Path, metavar="OUT", help="also write the verdict as JSON"
    )
    parser.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        default=len(os.sched_getaffinity(0)),
        help="processes",
    )
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="remember finished parts, go on from them"
    )
    return parser


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
