"""The tutorial docs/new_pde.md, applied to a copy of the repository as a reader would."""

import json
import re
import subprocess
import sys

import pytest
from harness import ROOT, Checkout

pytestmark = pytest.mark.slow
EXPERIMENT = "workflow/config/experiments/reaction.yaml"


def blocks() -> list[str]:
    text = (ROOT / "docs/new_pde.md").read_text()
    return [m[1] for m in re.finditer(r"^```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def insert(path, anchor: str, addition: str, *, after: bool = False) -> None:
    text = path.read_text()
    assert text.count(anchor) == 1, anchor
    new = anchor + addition if after else addition + anchor
    path.write_text(text.replace(anchor, new))


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    checkout = Checkout.copy_to(tmp_path_factory.mktemp("tutorial"))
    problem, settings, imported, line, experiment = blocks()
    root = checkout.root
    folder = root / "pipeline/problems/reaction"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""A reaction."""\n')
    (folder / "problem.py").write_text(problem)
    (folder / "config.py").write_text(settings)
    union = root / "pipeline/problems/union.py"
    insert(union, "\nAnyProblem = ", imported)
    insert(union, ",\n    Field(discriminator", "\n" + line.rstrip())
    (root / EXPERIMENT).write_text(experiment)
    return checkout


def run(checkout, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=checkout.root, env=checkout.environment,
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip


def test_it_takes_less_than_50_lines_of_code():
    problem, settings, *_ = blocks()
    lines = [line for line in (problem + settings).splitlines() if line.strip()]
    assert len(lines) < 50


def test_the_added_tests_pass_and_find_a_wrong_sign(extended):
    pytest_ = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/property/test_problems.py")
    done = run(extended, *pytest_)
    assert done.returncode == 0, done.stdout[-3000:]
    module = extended.root / "pipeline/problems/reaction/problem.py"
    right = module.read_text()
    try:
        insert(module, "terms.drift - terms.second", "0.5 * ")
        done = run(extended, *pytest_, "-k", "exact_solution")
        assert done.returncode == 1 and "1 failed" in done.stdout
    finally:
        module.write_text(right)


def test_the_added_experiment_learns_the_solution(extended):
    schema = run(extended, "-m", "pipeline.config")
    assert (
        "reaction" in json.loads(schema.stdout)["$defs"]["Reaction"]["properties"]["kind"].values()
    )
    done = extended.snakemake(files=(EXPERIMENT,))
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(
        (extended.root / "results/reaction/train/reaction_d20/run.json").read_text()
    )
    assert record["summary"]["skill"] > 3
    assert "reaction, d = 20" in (extended.root / "results/reaction/report.html").read_text()
