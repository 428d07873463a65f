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
    raw, cores = argparse.RawDescriptionHelpFormatter, len(os.sched_getaffinity(0))
    name = "python -m pipeline.certify"
    parser = argparse.ArgumentParser(name, description=__doc__, formatter_class=raw)
    option = parser.add_argument
    option("file", type=Path, help="certificate (JSON, schema in certify/format.py)")
    option("--verdict", type=Path, metavar="OUT", help="also write the verdict as JSON")
    option("--jobs", type=_positive, metavar="N", default=cores, help="processes")
    option("--state", type=Path, metavar="FILE", help="remember finished parts, go on from them")
    options = parser.parse_args(arguments)
    if not options.file.is_file():
        print(f"{options.file}: expected a certificate file, found none", file=sys.stderr)
        return 2
    result = verdict(options.file, options.jobs, options.state)
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


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
