"""The precision of float32 convolutions and matrix products on a GPU.

From Ampere on, a GPU's matrix units multiply factors that are rounded to TensorFloat-32 (10 bits of fraction, not
23) and add up in float32. PyTorch lets cuDNN's convolutions do so unless it is told otherwise, and matrix products not.
Here both do what the study says: float32 rounds nothing, and the training steps of ``dtype: tf32`` round all factors.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tensor_float32(allowed: bool) -> Iterator[None]:
    """Within the context, whether factors of float32 products may be rounded; a CPU never rounds them."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = allowed
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
