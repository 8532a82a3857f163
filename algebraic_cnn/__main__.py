"""``python -m algebraic_cnn`` is ``algebraic-cnn``."""

from __future__ import annotations

from .apps.cli import main

if __name__ == "__main__":
    main()
