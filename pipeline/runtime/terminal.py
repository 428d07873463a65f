"""Text on terminals of every encoding: what one cannot show is spelled out."""

import io
import sys


def tolerate() -> None:
    r"""Have letters that standard output cannot encode printed as `\u03bd`, say, never as an error.

    A terminal's encoding may be that of a language (GBK, ISO-8859-1) or plain ASCII (LC_ALL=C),
    and our own lines hold Greek letters, names of people and paths of any kind.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
