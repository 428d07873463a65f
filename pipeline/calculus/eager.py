"""How a function of tensors is run: operation by operation, or compiled as a whole."""

import torch
from torch import Tensor


def is_eager_on_cpu(x: Tensor) -> bool:
    """Whether each operation on `x` makes its own pass through the caches of a CPU.

    Temporaries are then kept small, and sizes may be asked for. A compiler fuses the passes, and
    sees no numbers; a GPU wants them large.
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()
