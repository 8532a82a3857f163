"""Any single affine ``nn.Module`` as an ``AffineMap``.

table     from module types to matrices
module    the map of a module: what is refused, sequences composed, the output shape
"""

from __future__ import annotations

from .module import affine_map

__all__ = ["affine_map"]
