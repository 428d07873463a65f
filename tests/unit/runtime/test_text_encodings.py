"""Text is read, written and printed alike in every locale."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("pipeline", "cluster", "workflow", "benchmarks")
# The mode's place among the arguments of what opens a file; a method `open` has no name before it.
MODES = {"open": 1, "fdopen": 1, "NamedTemporaryFile": 0, "TemporaryFile": 0}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def unnamed(source: str) -> list[tuple[int, str]]:
    """Return (line, call) of each call that leaves the encoding of text to the locale."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [(call.lineno, ast.unparse(call)) for call in calls if leaves_to_locale(call)]


def leaves_to_locale(call: ast.Call) -> bool:
    given = {word.arg: word.value for word in call.keywords}
    function = call.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if "encoding" in given or None in given:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name in MODES:
        owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else "builtins"
        if (owner, name) in (("os", "open"), ("webbrowser", "open"), ("Image", "open")):
            return False
        place = MODES[name] if name != "open" or owner in ("builtins", "io", "gzip") else 0
        mode = given.get("mode", call.args[place] if len(call.args) > place else None)
        if mode is None:  # "w+b" of a temporary file
            return "Temporary" not in name
        return not (isinstance(mode, ast.Constant) and "b" in str(mode.value))
    return any(
        ast.unparse(given[x]) == "True" for x in ("text", "universal_newlines") if x in given
    )


def test_utf_8_is_named_wherever_text_is_read_or_written():
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    found = [
        f"{file.relative_to(ROOT)}:{line}: {call[:80]}"
        for file in files
        for line, call in unnamed(file.read_text(encoding="utf-8"))
    ]
    for file in (ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))):
        for line, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\b(read_text|write_text|open)\((?!.*encoding=)", text):
                found.append(f"{file.relative_to(ROOT)}:{line}: {text.strip()}")
    assert not found, 'name encoding="utf-8":\n' + "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "path.read_text()",
        "path.write_text(x)",
        "open(path)",
        "open(path, 'w')",
        "path.open('a')",
        "path.open()",
        "run(x, text=True)",
        "NamedTemporaryFile('w')",
    ],
)
def test_each_form_is_found(code):
    assert unnamed(code)


@pytest.mark.parametrize(
    "code",
    [
        "path.read_text('utf-8')",
        "path.write_text(x, encoding='utf-8')",
        "open(path, 'rb')",
        "path.open('wb')",
        "os.open(path, flags)",
        "run(x, text=True, encoding='utf-8')",
        "TemporaryFile()",
    ],
)
def test_named_ones_and_bytes_are_let_through(code):
    assert not unnamed(code)


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=os.environ | environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("ascii")


def test_a_terminal_without_greek_letters_is_no_error():
    code = (
        "from pipeline.runtime import terminal; terminal.tolerate(); print('Burgers', chr(0x3bd))"
    )
    assert python(code, **ASCII) == "Burgers \\u03bd\n"


def test_digests_are_the_same_in_every_locale():
    code = (
        "from pipeline.runtime import digest as p; print(p.source_digest('pipeline.packing.stage'))"
    )
    assert python(code, **ASCII) == python(code, PYTHONUTF8="1")
