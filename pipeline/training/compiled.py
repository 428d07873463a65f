"""Functions of tensors that torch compiles: their operations in few loops, no Python in between."""

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from pipeline.errors import ConfigError

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def compiled(
    function: Callable[_Arguments, _Result], device: torch.device
) -> Callable[_Arguments, _Result]:
    """Return `function`, compiled at its first call with tensors of some shape and kept on disk.

    The whole of it, with its gradient: what cannot be compiled is an error, not slow in silence.

    Raises:
        ConfigError: there is no C++ compiler; torch takes that of the variable CXX.
    """
    name = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(shlex.split(name)[0]) is None:
        raise ConfigError(
            f"train.compile: expected a C++ compiler, found no {name}; install one, name it by the"
            " variable CXX, or set compile: false"
        )
    return torch.compile(function, dynamic=False, fullgraph=True)
