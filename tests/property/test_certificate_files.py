"""Certificates as files: what is damaged is rejected or harmless; and the size of the verifier."""

import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest
from certificate_examples import encoded, judge, three_point, two_point
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.certify import format as certificates

EXAMPLES = {
    "two_point": [two_point(8, 15), two_point(1, 7), two_point(24, 23)],
    "three_point": [three_point(3), three_point(4)],
}
GOOD = {kind: encoded(examples[0]) for kind, examples in EXAMPLES.items()}
VERIFIER = Path(certificates.__file__).parent


@pytest.mark.parametrize("kind", GOOD)
@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(0, 255))
def test_any_changed_byte_is_rejected_or_harmless(kind, data, byte):
    content = bytearray(GOOD[kind])
    content[data.draw(st.integers(0, len(content) - 1))] = byte
    try:
        certificate = certificates.parse(bytes(content))
    except certificates.Rejected:
        return
    judge(certificate)


@pytest.mark.parametrize("kind", GOOD)
def test_truncated_files_are_rejected(kind):
    for length in range(len(GOOD[kind])):
        with pytest.raises(certificates.Rejected):
            certificates.parse(GOOD[kind][:length])


@pytest.mark.parametrize("kind", EXAMPLES)
def test_certificates_survive_a_round_trip(kind):
    for certificate in EXAMPLES[kind]:
        assert certificates.parse(encoded(certificate)) == certificate


def test_the_verifier_is_read_in_one_sitting():
    """At most 600 lines of code: those with a token that is no comment and no docstring."""
    assert sum(len(code_lines(file.read_text())) for file in VERIFIER.glob("*.py")) <= 600


def code_lines(source: str) -> set[int]:
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT}
    lines, fresh = set(), True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in layout or token.type == tokenize.ENDMARKER:
            fresh = fresh or token.type != tokenize.COMMENT
            continue
        # A string where a statement begins is a docstring.
        if not (fresh and token.type == tokenize.STRING):
            lines.update(range(token.start[0], token.end[0] + 1))
        fresh = False
    return lines


def test_the_verifier_imports_flint_and_the_standard_library_only():
    script = (
        "import sys; before = set(sys.modules); import pipeline.certify.__main__;"
        "print(*sorted(set(sys.modules) - before - set(sys.stdlib_module_names)))"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in done.stdout.split():
        top = name.split(".")[0]
        # Modules named by Cython come with flint.
        known_top = top in {*sys.stdlib_module_names, "flint", "__mp_main__"} or "cython" in top
        assert known_top or name == "pipeline" or name.startswith("pipeline.certify"), name
