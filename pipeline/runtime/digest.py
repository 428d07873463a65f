"""Digests of what shapes a result: its configuration, and the source that computes it."""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.runtime.identity import identity

ROOT = Path(__file__).resolve().parents[2]
# What a stage imports without its numbers depending on it. Values of the configuration count
# through `params`; which kinds there are besides, and where and how a stage runs, change no number.
NEUTRAL = frozenset(
    f"pipeline.{name}" for name in ("config", "errors", "experiment", "kinds", "limits", "wording")
)
_NEUTRAL_PACKAGE = "pipeline.runtime"
_UNION = ".union"
# Modules that are hashed without their words, which change no number.
_CONFIGURATIONS = ("config", "settings")
_WORDING = "wording.py"
_TOLD = ("title", "title_of", "label", "label_of", "baseline")
# Files that shape what the modules of their folder write, and are no Python.
_TEMPLATES = "*.j2"


def config_digest(config: BaseModel | Mapping[str, Any], *more: object) -> str:
    """Return a SHA-256 digest (hex) of a configuration and further JSON values.

    Of a validated configuration what shapes the numbers counts: see `pipeline.runtime.identity`.
    """
    content = identity(config) if isinstance(config, BaseModel) else dict(config)
    # One spelling of each value, so that the order of keys in a file does not count.
    text = json.dumps([content, *more], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_result_of(part: BaseModel, record: Mapping[str, Any]) -> bool:
    """Return whether the `run.json` in `record` is that of a result of `part`.

    Earlier versions counted more settings, so their digests differ. If a record's digest fits the
    configuration it holds by the first rule, that configuration is compared by today's rule.
    """
    if record["config_digest"] == config_digest(part):
        return True
    if record["config_digest"] != _first_digest(record["config"]):
        return False
    try:
        recorded = type(part).model_validate(record["config"])
    except ValidationError:
        return False
    return config_digest(recorded) == config_digest(part)


def _first_digest(config: Mapping[str, Any]) -> str:
    """Return the digest of a complete configuration by the first rule: all but num_workers."""
    counted = dict(config)
    if isinstance(train := counted.get("train"), Mapping):
        counted["train"] = {key: value for key, value in train.items() if key != "num_workers"}
    return config_digest(counted)


def source_digest(*modules: str) -> str:
    """Return a SHA-256 digest (hex) of the source of `modules` and all of ours they import.

    Snakemake does not see edits of imported modules; as a `params` value this digest makes it
    rerun exactly the jobs whose code changed. A function-level import counts like any other;
    a module loaded by name (`importlib`) must be listed by the caller. Of a kind's configuration
    fields, limits and capabilities count, and no words (`shaping_source`). Templates in the folder
    of a module count, too, by their path in the project: a moved checkout has the same digest.
    """
    digest = hashlib.sha256()
    closure = sorted(source_closure(*modules))
    for module in closure:
        source = _file_of(module).read_bytes()
        if module.rpartition(".")[2] in _CONFIGURATIONS:
            source = shaping_source(source)
        digest.update(module.encode() + b"\0" + source)
    for path in _templates_of(closure):
        name = path.relative_to(ROOT).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def report_digest(*modules: str) -> str:
    """Return the `source_digest` of what makes a report, and of all words that it may be made of.

    Labels, titles and their wording shape no result, but every page that tells of one.
    """
    digest = hashlib.sha256(source_digest(*modules).encode())
    package = ROOT / "pipeline"
    for path in sorted(package.rglob("*.py")):
        if path.stem in _CONFIGURATIONS or path == package / _WORDING:
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def shaping_source(source: bytes) -> bytes:
    """Return the source of a configuration without its words: docstrings, descriptions, titles.

    And without `lifecycle`. They change no number, and are what is improved most often. Cut out of
    the text, because what a parser prints differs between versions of Python.
    """
    lines = source.splitlines(keepends=True)
    start_of = [0]
    for line in lines:
        start_of.append(start_of[-1] + len(line))

    def place(line: int | None, column: int | None) -> int:
        assert line is not None and column is not None
        return start_of[line - 1] + column

    cuts = sorted(
        (place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset))
        for node in _words(ast.parse(source))
    )
    kept, end = [], 0
    for start, stop in cuts:
        # One that lies in another is gone with it.
        if start >= end:
            kept.append(source[end:start])
        end = max(end, stop)
    return b"".join([*kept, source[end:]])


def _words(tree: ast.AST) -> Iterator[ast.stmt | ast.keyword]:
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="description"):
                yield node
            case ast.FunctionDef(name=name) if name in _TOLD:
                yield node
            case ast.AnnAssign(target=ast.Name(id="words")):
                yield node
            case ast.Assign(targets=[ast.Name(id="lifecycle")]):
                yield node
            case ast.Module(body=[first, *_]) | ast.ClassDef(body=[first, *_]):
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                    yield first
            case ast.FunctionDef(body=[ast.Expr(value=ast.Constant()) as docstring, *_]):
                yield docstring


def source_closure(*modules: str) -> frozenset[str]:
    """Return the modules of `pipeline` that importing `modules` may execute, less neutral ones."""
    closure: set[str] = set()
    pending = list(modules)
    while pending:
        module = pending.pop()
        if module in closure or is_neutral(module) or not module.startswith("pipeline"):
            continue
        closure.add(module)
        pending.extend(_imports(module, _file_of(module).stat().st_mtime_ns))
    return frozenset(closure)


def is_neutral(module: str) -> bool:
    """Return whether no number depends on `module`: see `source_closure`."""
    return (
        module in NEUTRAL
        or module.endswith(_UNION)
        or f"{module}.".startswith(f"{_NEUTRAL_PACKAGE}.")
    )


def _file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _templates_of(modules: Iterable[str]) -> list[Path]:
    """Return the templates that lie beside the files of `modules`, in one order everywhere."""
    folders = {_file_of(module).parent for module in modules}
    return sorted(path for folder in folders for path in folder.glob(_TEMPLATES))


# The time of the file is there for the cache alone: an edited module is read anew.
@cache
def _imports(module: str, _mtime_ns: int) -> tuple[str, ...]:
    """Return the project modules named by the import statements of `module`, and its parents."""
    parts = module.split(".")
    found = {".".join(parts[:depth]) for depth in range(1, len(parts))}
    for node in ast.walk(ast.parse(_file_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            # What is imported from a package may be a module; what is none has no file (below).
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    ours = (name for name in found if name.split(".")[0] == "pipeline")
    return tuple(sorted(name for name in ours if _file_of(name).exists()))
