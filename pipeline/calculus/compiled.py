"""Functions of tensors that torch compiles: their operations in few loops, no Python in between."""

import functools
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

from pipeline.errors import ConfigError
from pipeline.runtime import private

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def compiled(
    function: Callable[_Arguments, _Result], device: torch.device
) -> Callable[_Arguments, _Result]:
    """Return `function`, compiled at its first call with tensors of some shape and kept on disk.

    The whole function and its gradient are compiled: a part that cannot be is an error, not a
    silent return to Python. The programs lie in a folder of this user alone (`private.cache`), or
    in that of the variable TORCHINDUCTOR_CACHE_DIR.

    Raises:
        ConfigError: there is no C++ compiler; torch takes that of the variable CXX. Or, at the
            call, that compiler failed, or the system does not let its programs be loaded.
    """
    # Torch would miss the compiler at the first step only, deep in its own code.
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(shlex.split(name)[0]) is None:
        raise ConfigError(
            f"train.compile: expected a C++ compiler, found no {name}; install one, name it by the"
            " variable CXX, or set compile: false"
        )
    # torch's own choice is a folder below /tmp that another user may have made before.
    if _CACHE not in os.environ:
        os.environ[_CACHE] = str(private.cache("compiled", programs=True))
    if not private.allows_programs(Path(os.environ[_CACHE]).absolute()):
        raise _refusal("a file system mounted noexec")
    # Shapes are the same at every step, so each program may be for sizes that are known.
    # `fullgraph` makes a graph break raise; torch would otherwise run the rest in Python.
    program = torch.compile(function, dynamic=False, fullgraph=True)

    @functools.wraps(function)
    def call(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        # Torch compiles within the first call, so its failures come with the function's own.
        try:
            return program(*arguments, **options)
        except Exception as error:
            if (cause := _cause(error)) is None:
                raise
            raise _refusal(cause) from error

    return call


def _refusal(found: str) -> ConfigError:
    return ConfigError(
        f"train.compile: expected a compiled step in {os.environ[_CACHE]}, got: {found};"
        f" set {_CACHE} and TMPDIR to folders whose file systems have room and allow programs, or"
        " compile: false"
    )


def _cause(error: BaseException) -> str | None:
    """Return the last line of what went wrong in compiling; None if the function itself failed."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError, InductorError

    # Torch wraps what its backend raised; the innermost error is the one that a user can act on.
    inner = getattr(error, "inner_exception", None)
    if isinstance(inner, BaseException):
        return _cause(inner) or _last_line(inner)
    # Loading from the cache, too, may raise as it is.
    foreseen = (TorchDynamoException, InductorError, CppCompileError, ImportError, OSError)
    return _last_line(error) if isinstance(error, foreseen) else None


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return textwrap.shorten(lines[-1] if lines else type(error).__name__, 200, placeholder=" ...")
