"""One thread, on which small networks run fastest; IEEE kernels on a GPU."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
torch.backends.cudnn.enabled = False  # no Winograd, no FFT: sums of products, exact on whole numbers
torch.set_float32_matmul_precision("highest")  # no TF32
