"""One YAML or JSON file as a mapping, or one line for each mistake of its text.

A file is read as Snakemake reads it, first as JSON and then as YAML 1.1, but more strictly: what
YAML takes without a word and its writer did not mean (a key twice, `no` as a name, 010 for 8) is a
mistake. The graph of nodes is inspected before anything is built of it, so that anchors within
anchors cost nothing.
"""

import json
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError
from pipeline.reading.inspection import MOST_LEVELS, Mistake, inspect, scalars
from pipeline.reading.words import cut, dotted, show

# 100,000 runs take about 30 MB.
MOST_BYTES = 100_000_000
# libyaml builds nodes by recursion without a limit, and dies of some 100,000 levels.
_SAFE_DEPTH = 400
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """The content of one file (or of `--config`), and where its keys are."""

    name: str
    content: dict[str, Any]
    text: str = field(default="", repr=False)

    def depth(self, path: Sequence[int | str]) -> int:
        """Return how many parts of `path` this document has."""
        node: Any = self.content
        for depth, part in enumerate(path):
            is_there = (
                part in node
                if isinstance(node, dict)
                else (isinstance(node, list) and isinstance(part, int) and part < len(node))
            )
            if not is_there:
                return depth
            node = node[part]
        return len(path)

    def place(self, path: Sequence[int | str]) -> str:
        """Return "file:line" of the key at `path`, or of the last of its parents that is here."""
        return f"{self.name}:{_line(self._root, path)}" if self._root else self.name

    @cached_property
    def _root(self) -> yaml.Node | None:
        """The graph of nodes; JSON is YAML but for the pairs that stand for rare characters."""
        try:
            loader = _loader(_PAIR.sub(lambda pair: json.loads(f'"{pair[0]}"'), self.text))
            root: yaml.Node | None = loader.get_single_node()
            # Merged keys then stand before a mapping's own.
            if root is not None:
                loader.construct_document(root)
        except (yaml.YAMLError, RecursionError, ValueError):
            return None
        return root


def read(file: Path | str) -> Document:
    """Return the document in `file`.

    Raises:
        ConfigError: one line for each mistake, `file:line: key: expected ..., got ...`.
    """
    text = _text(file)
    content = _json(text)
    if content is None:
        content = _yaml(str(file), text)
    if not isinstance(content, dict):
        raise ConfigError(
            f"{file}:1: expected keys at the top level (schema_version: 1, seed: ...),"
            f" got {show(content)}"
        )
    return Document(str(file), content, text)


def _text(file: Path | str) -> str:
    """Return the text of a regular file of bearable size; no other kind is opened."""
    try:
        status = Path(file).stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
            raise ConfigError(f"{file}: expected a YAML or JSON file, got {kind}")
        if status.st_size > MOST_BYTES:
            raise ConfigError(
                f"{file}: expected at most {MOST_BYTES:,} bytes, got {status.st_size:,};"
                " is this an experiment?"
            )
        raw = Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{file}: expected a file that can be read, got: {reason}") from None
    try:
        # With or without the byte order mark that some editors write.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{file}:{line}: expected UTF-8 text, got the byte 0x{raw[error.start]:02x};"
            " save the file as UTF-8"
        ) from None
    if bad := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise ConfigError(
            f"{file}:{line}: expected text, got the control character U+{ord(bad[0]):04X}"
        )
    return text


class _Twice(Exception):
    """A key of a JSON object is there twice."""


def _json(text: str) -> Any:
    """Return what `text` says as JSON; None if it is not, or holds a key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise _Twice
        return found

    # Lone scalars are for YAML, which says more about them.
    if not text.lstrip().startswith(("{", "[")) or _levels(text) > MOST_LEVELS:
        return None
    try:
        content = json.loads(text, object_pairs_hook=unique)
        if _SURROGATE.search(text):
            # Half of a pair is no character; YAML names its line.
            json.dumps(content, ensure_ascii=False).encode()
    except (ValueError, RecursionError, _Twice):
        return None
    return content


def _yaml(name: str, text: str) -> Any:
    """Return what `text` says as YAML; raise `ConfigError` with a line for each mistake."""
    try:
        loader = _loader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_syntax(name, text, error)) from None
    except RecursionError:
        raise ConfigError(
            f"{name}:{_deep_line(text)}: expected at most {MOST_LEVELS} levels of keys, got more"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name}: expected YAML, got: {cut(str(error))}") from None
    if root is None:
        raise ConfigError(
            f"{name}:1: expected keys (schema_version: 1, seed: ...), got an empty file"
        )
    if mistakes := inspect(root):
        raise ConfigError("\n".join(_said(name, mistake) for mistake in mistakes))
    try:
        return loader.construct_document(root)
    except Exception as error:  # PyYAML raises errors of all kinds at what a tag does not fit
        raise ConfigError(_unbuilt(name, text, root, error)) from None


def _said(name: str, mistake: Mistake) -> str:
    key = f"{dotted(mistake.path)}: " if mistake.path else ""
    return f"{name}:{mistake.line}: {key}{mistake.text}"


def _loader(text: str) -> Any:
    """Return a loader: the fast one unless the text may be nested deeper than it survives."""
    indents = map(len, re.findall(r"(?m)^[ \-?:\t]+", text))
    deepest = max(_levels(text), max(indents, default=0))
    return yaml.SafeLoader(text) if deepest > _SAFE_DEPTH else _Fast(text)


def _levels(text: str) -> int:
    """Return how many brackets are open at most, those within text counted too."""
    steps = (1 if x in "[{" else -1 for x in re.findall(r"[\[\]{}]", text))
    return max(accumulate(steps), default=0)


def _deep_line(text: str) -> int:
    """Return the first line with too many open brackets, or an indent or marks as deep."""
    is_open = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if len(re.match(r"[ \-?:\t]*", line)[0]) > MOST_LEVELS:  # type: ignore[index]
            return number
        steps = [1 if x in "[{" else -1 for x in re.findall(r"[\[\]{}]", line)]
        if is_open + max(accumulate(steps), default=0) > MOST_LEVELS:
            return number
        is_open += sum(steps)
    return 1


def _line(root: yaml.Node, path: Sequence[int | str]) -> int:
    """Return the line of the deepest key of `path` that is there, or that of the first key."""
    node: yaml.Node | None = root
    line = root.start_mark.line + 1
    for part in path:
        key: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            # From the end: what a mapping says itself comes after what it merges.
            pairs = (pair for pair in reversed(node.value) if pair[0].value == part)
            key, node = next(pairs, (None, None))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            key = node = node.value[part] if part < len(node.value) else None
        if key is None:
            break
        line = key.start_mark.line + 1
    return line


def _syntax(name: str, text: str, error: yaml.MarkedYAMLError) -> str:
    """Return one line for text that is not YAML."""
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines() or [""]
    number = min(mark.line, len(lines) - 1) if mark else 0
    line, problem = lines[number], str(error.problem or error)
    where = f"{name}:{number + 1}"
    found = show(line.strip())
    if re.match(r" *\t", line):
        return f"{where}: expected spaces before a key, got a tab; YAML is indented by spaces"
    if "undefined alias" in problem:
        alias = re.match(r"\*?[^\s,\]}]*", line[mark.column :] if mark else "")
        return (
            f"{where}: expected an anchor that the file defines above (&name), got"
            f" {show(alias[0] if alias else line)}"
        )
    if "another document" in problem or "single document" in problem:
        return f"{where}: expected one document, got a second one after '---'; use one file each"
    if "mapping values are not allowed" in problem:
        return f"{where}: expected `key: value` in a line of its own, got {found}"
    if "escape" in problem or "hexdec" in problem:
        return (
            f"{where}: expected a character, or an escape of one (\\n, \\u00e9), between quotes,"
            f" got {found}"
        )
    if mark and mark.line >= len(lines) or (mark and not "".join(lines[number + 1 :]).strip()):
        start = error.context_mark.line + 1 if error.context_mark else number + 1
        opened = f" from line {start}" if start <= number else ""
        return (
            f"{where}: expected the end of what is open{opened} (a bracket, a quote or a value),"
            f" got {found}"
        )
    said = cut(" ".join(f"{error.context or ''} {problem}".split()), 120)
    return f"{where}: expected YAML, got {found} ({said})"


def _unbuilt(name: str, text: str, root: yaml.Node, error: Exception) -> str:
    """Return one line for a value that does not fit its tag."""
    for path, node in scalars(root):
        try:
            yaml.SafeLoader("").construct_object(node)
        except Exception:
            tag = node.tag.removeprefix("tag:yaml.org,2002:")
            text = (
                f"expected a number, text or true/false, got {show(node.value)} read as"
                f" {cut(tag, 40)}; quote it if it is text"
            )
            return _said(name, Mistake(node.start_mark.line + 1, path, text))
    mark = getattr(error, "problem_mark", None)
    where = f"{name}:{mark.line + 1}" if mark else name
    said = str(getattr(error, "problem", None) or error)
    return f"{where}: expected plain values, lists and keys, got: {cut(' '.join(said.split()))}"
