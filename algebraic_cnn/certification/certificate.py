"""``Certificate``: what a check found, as a value that reads as a sentence and travels as JSON.

level        how the check was made; comparison.py says what each level means
ok           the verdict
witness      where the two networks differ, if they do
fingerprint  SHA-256 of a network (ir/fingerprints.py): a certificate speaks of these networks only
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..algebra.affine import AffineMap
from ..errors import DataError
from ..files import write_bytes
from ..files.plain_json import UNSPOKEN, built, read_json, sealed, spelled, unsealed, write_json
from ..ir.fingerprints import fingerprint
from ..ir.graph import Graph
from ..rings.ring import Ring


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {
        "algebraic_cnn": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


@dataclass(frozen=True)
class Witness:
    """One place where two networks differ.

    Attributes:
        what: the place, in words.
        original: the value that the original has there.
        collapsed: the value that the other has there.
        modulus: the prime modulo which the values are given, or None for plain numbers.
        input: the flattened input at which outputs were compared, or None where parameters were.

    >>> print(Witness("output 3", 2.0, 5.0, modulus=7))
    output 3: 2.0 in the original, 5.0 in the other modulo 7
    """

    what: str
    original: float
    collapsed: float
    modulus: int | None = None
    input: list[float] | None = None

    def __str__(self) -> str:
        modulo = f" modulo {self.modulus}" if self.modulus else ""
        return f"{self.what}: {self.original!r} in the original, {self.collapsed!r} in the other{modulo}"


@dataclass(frozen=True)
class Certificate:
    """The verdict of a check and all that is needed to repeat it.

    Attributes:
        statement: what was checked, in words.
        level: "modular", "bounded", ...
        ok: whether the statement holds.
        error_probability: bound of the probability that a false statement passes; None where chance plays no part.
        bound: the most that rounding can explain (levels that measure), else None.
        observed: the largest difference found (levels that measure), else None.
        likely: where independent rounding errors would stay, an estimate and not a bound (levels that measure).
        witness: a place where the networks differ, or None.
        primes: the moduli that were used.
        points: how many random inputs.
        seed: seed of everything random.
        fingerprints: SHA-256 of the original and of the other.
        seconds: how long the check took.
        versions: of the software that made it.
        size: how large the value is in which ``observed`` was found, else None.
        rounded: whether what holds is equality but for rounding.
        undecided: whether nothing was decided; ``ok`` is then False.
        interface: whether the networks differ in what a user sees of them: outputs, their nesting, what is written.
        networks: the two, for ``write``; no JSON and no copy carries them.
        recipes: how the numbers that a collapse has rounded are computed over any ring, by name; likewise.

    >>> print(Certificate("the two are equal.", "modular", True, error_probability=2.0**-80))
    Yes (modular): the two are equal. A false statement would pass with probability at most 8.3e-25.
    """

    statement: str
    level: str
    ok: bool
    error_probability: float | None = None
    bound: float | None = None
    observed: float | None = None
    likely: float | None = None
    witness: Witness | None = None
    primes: tuple[int, ...] = ()
    points: int = 0
    seed: int = 0
    fingerprints: tuple[str, str] = ("", "")
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=versions)
    size: float | None = None
    rounded: bool = False
    undecided: bool = False
    interface: bool = False
    networks: tuple[Graph | AffineMap, Graph | AffineMap] | None = field(
        default=None, repr=False, compare=False, metadata=UNSPOKEN
    )
    recipes: Mapping[str, Callable[[Ring], Any]] | None = field(
        default=None, repr=False, compare=False, metadata=UNSPOKEN
    )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "networks": None, "recipes": None}

    @property
    def verdict(self) -> str:
        """"equal", "rounding" (equal but for rounding), "different" or "undecided"."""
        if self.undecided or not self.ok:
            return "undecided" if self.undecided else "different"
        return "rounding" if self.rounded or self.level in ("bounded", "sampled") else "equal"

    def __str__(self) -> str:
        verdict = "Undecided" if self.undecided else "Yes" if self.ok else "No"
        chance = ""
        if self.ok and self.error_probability is not None:
            chance = f" A false statement would pass with probability at most {self.error_probability:.1e}."
        measured = "" if self.bound is None else f" Observed {self.observed:.3g}, bound {self.bound:.3g}."
        if self.likely is not None:
            measured += f" Independent rounding errors would stay below {self.likely:.3g}: an estimate, not a bound."
        against = "" if self.witness is None else f" Witness: {self.witness}."
        return f"{verdict} ({self.level}): {self.statement}{chance}{measured}{against}"

    def to_json(self) -> str:
        """The certificate as JSON, with a sum of its content."""
        return json.dumps(sealed(spelled(self)), indent=2)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the certificate as JSON, whole or not at all; returns the path.

        Raises:
            DataError: if the file cannot be written.
        """
        return write_json(path, sealed(spelled(self)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Reads a certificate that ``save`` wrote.

        The sum notices damage, and no forgery: who does not trust the file repeats the check.

        Raises:
            DataError: if the file is missing, is not JSON, is not a certificate, is damaged or carries no sum.
        """
        value = unsealed(read_json(path), path)
        try:
            return built(cls, value)
        except ValueError as error:
            expected = "JSON written by Certificate.save"
            raise DataError(f"not a certificate ({error})", expected=expected, where=path) from error

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes a file that the extracted checker re-checks (``algebraic-cnn recheck``), whole or not at all.

        The file carries the numbers of the first network, and what is claimed of it: that it is the second one over the
        rational numbers; or, where that is so but for one rounding, its exact W and b, or these modulo primes.

        Returns:
            The path.

        Raises:
            DataError: if the certificate does not hold, was loaded from JSON, states no equality (levels "sampled" and
                "bounded"), or the file cannot be written.
            NotAffineError: if a network is not one affine map, or has a call that the checker does not know.
            TooLargeError, NonFiniteError: as ``derive_exact`` raises them.
        """
        from .recheck.claims import certificate_file

        if self.networks is None or not self.ok or self.level in ("sampled", "bounded"):
            got = "a loaded one" if self.networks is None else f"{self.verdict} ({self.level})"
            what = "this certificate has nothing for the checker"
            raise DataError(what, expected="one that certify made and that states an equality", got=got, where="write")
        rounding = True if self.verdict == "rounding" else None if self.level == "rational" else False
        said = {"text": self.statement, "recipes": self.recipes}
        return write_bytes(path, certificate_file(*self.networks, rounding=rounding, **said))

    def speaks_of(self, original: Graph | AffineMap, collapsed: Graph | AffineMap) -> bool:
        """Whether this certificate was made for these very networks, as ``trace`` gives them."""
        return self.fingerprints == (fingerprint(original), fingerprint(collapsed))

    def require_networks(self, original: Graph | AffineMap, collapsed: Graph | AffineMap) -> None:
        """Refuse a certificate that was made for other networks.

        Raises:
            DataError: if the hash of one of them is not the one in the certificate; says which.
        """
        names = ("original", "other")
        for name, network, expected in zip(names, (original, collapsed), self.fingerprints, strict=True):
            got = fingerprint(network)
            if got != expected:
                what = f"the certificate speaks of another network: the SHA-256 of the {name} differs"
                raise DataError(what, expected=f"{expected[:16]}...", got=f"{got[:16]}...")
