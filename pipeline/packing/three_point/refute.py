"""Ask the verifier about a candidate, as a user would: in a process of its own, by its command.

The search learns where its grids missed a violation; a proof that counts is made by `certify`.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.certify import format as certificates
from pipeline.errors import SolverError

_ROOT = Path(certificates.__file__).parents[2]


@dataclass(frozen=True)
class Refutation:
    """A condition of the verifier and a point where it could not be shown, by its variables' names.

    The verifier rounds up: there the condition fails, or holds by less than the rounding.
    """

    condition: str
    point: dict[str, float]


def refutation(certificate: dict[str, Any]) -> Refutation | None:
    """Return where `certificate` does not convince the verifier; None if nowhere it can name.

    Raises:
        SolverError: the verifier ended without a verdict.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, verdict = Path(folder) / "candidate.json", Path(folder) / "verdict.json"
        file.write_text(json.dumps(certificate), encoding="utf-8")
        # One process: the search has one core.
        command = [sys.executable, "-m", "pipeline.certify", str(file), "--jobs", "1"]
        paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
        ended = subprocess.run(
            [*command, "--verdict", str(verdict)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        # A rejection is a verdict, too, with exit status 1: the file tells, not the status.
        if not verdict.exists():
            last = ended.stderr.strip().rpartition("\n")[2]
            raise SolverError(f"verifier: expected a verdict on a candidate, got: {last}")
        found = json.loads(verdict.read_text(encoding="utf-8"))
    # Proved, or failed without a point: nothing to cut off, and `certify` will say so.
    if not found["point"]:
        return None
    return Refutation(found["failed_condition"], found["point"])
