"""All numbers of the smoke experiment, for `smoke.json`: `python tests/support/smoke_numbers.py`.

A refactor leaves them as they are. A change that means to change them writes the file anew and says
in its commit why they differ.
"""

import json
import os
import platform
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
import torch
import zarr
from harness import Checkout

GOLDEN = Path(__file__).parents[1] / "golden/smoke.json"
# Of each array so many values are kept, evenly spaced: they tell where bits differ by rounding.
_KEPT = 16


def collect(root: Path) -> dict[str, Any]:
    """Return the numbers of the finished smoke experiment in the checkout `root`, by file."""
    results = root / "results/smoke"
    return {
        "machine": machine(),
        "data": {path.name: _store(path) for path in sorted((root / "data").glob("*.zarr"))},
        "train": {
            path.parent.name: _table(path) for path in sorted(results.glob("train/*/*.parquet"))
        },
        "search": {
            path.parent.name: zlib.crc32(path.read_bytes())
            for path in sorted(results.glob("search/*/candidate.json"))
        },
        "certify": {
            path.parent.name: _verdict(path)
            for path in sorted(results.glob("certify/*/verdict.json"))
        },
    }


def machine() -> dict[str, str]:
    """Return what floating-point results may depend on in their last digits."""
    return {
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        # Libraries choose their kernels by the model, and their shares of work by the cores.
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }


def _processor() -> str:
    """Return name, family, model and cache of the first core: the name alone may mean several."""
    keys = ("model name", "cpu family", "model", "stepping", "cache size")
    path = Path("/proc/cpuinfo")
    if not path.exists():  # not Linux
        return platform.machine()
    first = path.read_text(encoding="utf-8").partition("\n\n")[0]
    rows = dict(map(str.strip, line.partition(":")[::2]) for line in first.splitlines())
    return ", ".join(rows.get(key, "unknown") for key in keys)


def _store(path: Path) -> dict[str, Any]:
    group = zarr.open_group(path, mode="r")
    arrays = {}
    for name, array in sorted(group.arrays()):
        values = np.ascontiguousarray(array[:])
        kept = values.reshape(-1)[:: max(1, values.size // _KEPT)]
        arrays[name] = {
            "shape": list(values.shape),
            "crc32": zlib.crc32(values),
            "values": kept.tolist(),
        }
    return {"max_error": group.attrs["max_error"], "arrays": arrays}


def _table(path: Path) -> dict[str, list[float]]:
    table = pd.read_parquet(path)
    return table.drop(columns=["elapsed_s"]).to_dict("list")


def _verdict(path: Path) -> dict[str, Any]:
    verdict = json.loads(path.read_text(encoding="utf-8"))
    return {key: verdict[key] for key in ("status", "bound")}


def main() -> int:
    """Run the smoke experiment on a copy of the checkout and keep its numbers."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout.copy_to(Path(folder))
        done = checkout.snakemake()
        if done.returncode:
            print(done.stdout + done.stderr, file=sys.stderr)
            return 1
        numbers = collect(checkout.root)
    GOLDEN.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
