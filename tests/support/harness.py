"""Run the real Snakemake on a copy of the checkout that tests may edit."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]
SMOKE = "tests/workflow/smoke.yaml"
_COPIED = (
    "pyproject.toml",
    "Snakefile",
    "workflow",
    "pipeline",
    "cluster",
    "tests",
    "slurm",
    "profiles",
)


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository with its own results."""

    root: Path

    @classmethod
    def copy_to(cls, root: Path) -> "Checkout":
        for name in _COPIED:
            source = ROOT / name
            if source.is_symlink():
                (root / name).symlink_to(source.readlink())
            elif source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, root / name, ignore=ignored)
            else:
                shutil.copy(source, root / name)
        (root / "data").mkdir()
        return cls(root)

    def command(self, *arguments: str, files: tuple[str, ...] = (SMOKE,)) -> list[str]:
        snakemake = [sys.executable, "-m", "snakemake", *arguments]
        return [*snakemake, "--configfile", *files] if files else snakemake

    def ask_for(self, rule: str, **resources: object) -> None:
        """Change what the SLURM profile asks for a rule, as a user would."""
        path = self.root / "slurm/config.yaml"
        profile = yaml.safe_load(path.read_text())
        profile["set-resources"].setdefault(rule, {}).update(resources)
        path.write_text(yaml.safe_dump(profile))

    @property
    def environment(self) -> dict[str, str]:
        # The copy's own packages come before the installed ones.
        return os.environ | {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}

    def snakemake(
        self, *arguments: str, files: tuple[str, ...] = (SMOKE,)
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, files=files),
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def scheduled(self, *arguments: str, files: tuple[str, ...] = (SMOKE,)) -> set[str]:
        """Return the jobs a dry run would start, as "rule" or "rule:name"."""
        done = self.snakemake("-n", *arguments, files=files)
        assert done.returncode == 0, done.stdout + done.stderr
        blocks = re.split(r"\n(?=\[)", done.stdout + done.stderr)
        jobs = set()
        for block in blocks:
            rule = re.search(r"^(?:local)?rule (\w+):$", block, re.M)
            name = re.search(r"^    wildcards: \w+=(\S+)$", block, re.M)
            if rule and rule[1] != "all":
                jobs.add(f"{rule[1]}:{name[1]}" if name else rule[1])
        return jobs

    @contextmanager
    def changed(self, change: dict[str, object], file: str = SMOKE) -> Iterator[None]:
        """Change keys of an experiment file, as a user edits it, and take that back."""
        path = self.root / file
        original = path.read_text(encoding="utf-8")
        path.write_text(yaml.safe_dump(_merged(yaml.safe_load(original), change)), "utf-8")
        try:
            yield
        finally:
            path.write_text(original, encoding="utf-8")

    def numbers(self) -> dict[str, object]:
        """Return all numbers of the results that a rerun must repeat exactly."""
        found: dict[str, object] = {}
        for path in sorted((self.root / "data").glob("*.zarr/zarr.json")):
            found[str(path.relative_to(self.root))] = json.loads(path.read_text())
        for path in sorted((self.root / "results").glob("*/train/*/metrics.parquet")):
            table = pd.read_parquet(path).drop(columns="elapsed_s")
            found[str(path.relative_to(self.root))] = table.to_dict("list")
        for path in sorted((self.root / "results").glob("*/certify/*/verdict.json")):
            verdict = json.loads(path.read_text())
            found[str(path.relative_to(self.root))] = (verdict["status"], verdict["bound"])
        return found


def _merged(base: dict[str, object], change: dict[str, object]) -> dict[str, object]:
    both = {
        key: _merged(base[key], value)
        for key, value in change.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return base | change | both
