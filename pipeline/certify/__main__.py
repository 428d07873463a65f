"""Verify a certificate of an upper bound on the sphere packing density.

Prints the proof obligations and last the proved bound, a decimal rounded upward.
Exit status: 0 proved, 1 rejected (the failed condition is named), 2 wrong usage.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from pipeline.certify.verify import verdict


def main(arguments: list[str] | None = None) -> int:
    """Return the exit status of `python -m pipeline.certify`."""
    options = _parser().parse_args(arguments)
    file: Path = options.file
    if not file.is_file():
        print(f"{file}: expected a certificate file, found none", file=sys.stderr)
        return 2
    result = verdict(file)
    if options.verdict is not None:
        try:
            _write(options.verdict, result)
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
    return parser


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    os.replace(temporary, path)


if __name__ == "__main__":
    sys.exit(main())
