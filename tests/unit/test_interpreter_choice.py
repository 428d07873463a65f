"""`make` sets up .venv with an interpreter that fits, or says in one line what is missing."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
# Stands for an interpreter: answers as that version would, and says which one installed packages.
FAKE = """\
#!/bin/sh
case "$1 $2" in
"-m venv") mkdir -p "$3/bin" && ln -s "$0" "$3/bin/python" ;;
"-m pip") echo "pip of {version}" ;;
*version_info*) exit {unfit} ;;
*) exit {bare} ;;
esac
"""
# What a version manager leaves under the name of a version that is not chosen.
SHIM = "#!/bin/sh\necho 'python3.11: command not found' >&2\nexit 127\n"


def fits(version: tuple[int, int]) -> bool:
    """Return what the Makefile's own expression says of a version."""
    found = re.search("^SUPPORTED := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "version_info", (*version, 0))
        exec(found[1])
    return not ended.value.code


def test_the_makefile_and_the_package_agree_on_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = [(3, minor) for minor in range(9, 17)]
    allowed = SpecifierSet(project["requires-python"])
    assert [fits(v) for v in versions] == [f"{v[0]}.{v[1]}.1" in allowed for v in versions]
    assert [v for v in versions if fits(v)] == [(3, 11), (3, 12), (3, 13)]


@pytest.fixture
def machine(tmp_path):
    """Return a checkout, and a function that installs interpreters on the only PATH."""
    checkout, programs = tmp_path / "a checkout", tmp_path / "bin"
    checkout.mkdir()
    programs.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    for tool in ("sh", "touch", "mkdir", "ln", "true"):
        (programs / tool).symlink_to(f"/bin/{tool}")
    (programs / "true").rename(programs / "snakemake")

    def install(name, version, modules=True):
        unfit = not (version and fits(version))
        path = programs / name
        path.write_text(FAKE.format(version=version, unfit=int(unfit), bare=int(not modules)))
        if not version:
            path.write_text(SHIM)
        path.chmod(0o755)

    return checkout, install


def make(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/usr/bin/make", "run", *arguments],
        cwd=checkout,
        env={"PATH": str(checkout.parent / "bin")},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        ({"python3.11": (3, 11), "python3.13": (3, 13), "python3": (3, 13)}, (3, 11)),
        ({"python3.13": (3, 13), "python3.12": (3, 12)}, (3, 12)),
        ({"python3.13": (3, 13)}, (3, 13)),
        ({"python3": (3, 13)}, (3, 13)),
        ({"python": (3, 12)}, (3, 12)),
        ({"python3.11": None, "python3": (3, 9), "python3.12": (3, 12)}, (3, 12)),
    ],
)
def test_the_first_that_fits_is_chosen(machine, installed, chosen):
    checkout, install = machine
    for name, version in installed.items():
        install(name, version)
    done = make(checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"pip of {chosen}" in done.stdout
    assert (checkout / ".venv/.run").exists()


def test_an_environment_that_is_there_is_kept(machine):
    checkout, install = machine
    install("python3.13", (3, 13))
    assert make(checkout).returncode == 0
    install("python3.11", (3, 11))
    # A new set of packages, not a new interpreter.
    os.utime(checkout / "constraints.txt")
    os.utime(checkout / ".venv/.run", (0, 0))
    done = make(checkout)
    assert done.returncode == 0 and "pip of (3, 13)" in done.stdout


def test_the_named_one_is_chosen_and_checked(machine):
    checkout, install = machine
    install("python3.11", (3, 11))
    install("my python", (3, 12))
    install("old", (3, 10))
    assert "pip of (3, 12)" in make(checkout, "PYTHON=my python").stdout
    shutil.rmtree(checkout / ".venv")
    done = make(checkout, "PYTHON=old")
    assert done.returncode != 0 and "one of: old;" in done.stderr


@pytest.mark.parametrize(
    ("installed", "modules", "said"),
    [
        ({}, True, "expected Python 3.11, 3.12 or 3.13"),
        ({"python3": (3, 9)}, True, "expected Python 3.11, 3.12 or 3.13"),
        ({"python3.11": None, "python3.14": (3, 14)}, True, "expected Python 3.11, 3.12 or 3.13"),
        ({"python3.11": (3, 11)}, False, "python3.11: expected its modules venv and ensurepip"),
    ],
)
def test_what_is_missing_is_one_line(machine, installed, modules, said):
    checkout, install = machine
    for name, version in installed.items():
        install(name, version, modules)
    done = make(checkout)
    assert done.returncode != 0 and not (checkout / ".venv").exists()
    # Ours, and the one of make that it stopped.
    ours, stopped = done.stderr.splitlines()
    assert said in ours and "Error 1" in stopped


def test_an_environment_that_does_not_run_is_named(machine):
    checkout, install = machine
    install("python3.11", (3, 11))
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to("gone")
    done = make(checkout)
    assert done.returncode != 0 and done.stderr.startswith(".venv: expected an environment")
