"""How a function of tensors is run: operation by operation, or compiled as a whole."""

import torch
from torch import Tensor


def is_eager_on_cpu(x: Tensor) -> bool:
    """Whether each operation on `x` makes its own pass through the caches of a CPU.

    If so, temporaries are kept small, and the code may branch on values. A compiler fuses the
    passes and sees no values; a GPU needs large operations to be busy.
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()
