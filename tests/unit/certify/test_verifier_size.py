"""The verifier stays short enough to be read in one sitting."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

from pipeline import certify

PACKAGE = Path(certify.__file__).parent
MATHEMATICS = ("verify", "two_point", "three_point", "sturm", "bernstein")
NO_CODE = (
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
)  # fmt: skip


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that are neither blank nor comment nor docstring."""
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            text = node.body[0]
            lines -= set(range(text.lineno, text.end_lineno + 1))
    return lines


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""One.\n\nTwo.\n"""\n\nx = 1\n', {6}),
        ("# A comment.\nx = 1  # Another.\n", {2}),
        ('x = """\n\n"""\n', {1, 2, 3}),
        ('def f(\n    x,\n):\n    """Doc."""\n    # Why.\n    return x\n', {1, 2, 3, 6}),
        ('class A:\n    """Doc."""\n\n    x = "no doc"\n', {1, 4}),
    ],
)
def test_code_is_told_from_what_explains_it(source, expected):
    assert code_lines(source) == expected


def test_the_verifier_is_short():
    sources = {file.stem: file.read_text() for file in PACKAGE.rglob("*.py")}
    assert set(MATHEMATICS) < set(sources)
    code = {name: len(code_lines(source)) for name, source in sources.items()}
    assert sum(code.values()) <= 600, code
    # Lines of code, not of the file: a proof that is explained is read faster, not slower.
    assert sum(code[name] for name in MATHEMATICS) <= 350, code
