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
    problem, settings, imported, entry, case, experiment = blocks()
    root = checkout.root
    (root / "pipeline/problems/reaction.py").write_text(problem)
    models = root / "pipeline/config.py"
    insert(models, "PinnProblem = Annotated[\n", settings + "\n\n")
    insert(models, "PinnProblem = Annotated[\n", "Reaction | ", after=True)
    tests = root / "tests/property/test_problems.py"
    insert(tests, "\nCPU = ", imported)
    insert(tests, "CLASSES = {\n", entry, after=True)
    insert(tests, "EXACT = [\n", case, after=True)
    (root / EXPERIMENT).write_text(experiment)
    return checkout


def run(checkout, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=checkout.root, env=checkout.environment,
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip


def test_it_takes_less_than_40_lines_of_code():
    problem, settings, *_ = blocks()
    lines = [line for line in (problem + settings).splitlines() if line.strip()]
    assert len(lines) < 40


def test_the_added_tests_pass_and_find_a_wrong_sign(extended):
    pytest_ = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/property/test_problems.py")
    done = run(extended, *pytest_)
    assert done.returncode == 0, done.stdout[-3000:]
    module = extended.root / "pipeline/problems/reaction.py"
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
