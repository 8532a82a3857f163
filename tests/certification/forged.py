"""Damaged and forged .cert files, and what the checker says: ``python -m tests.certification.forged [how many]`` tells.

A file is damaged at random, or a count, a reference or a sum in it is replaced by one that could do harm; every other
time the sum is made anew, which makes another file.  A yes is right only if another reader and convolutions in exact
fractions find that what that file says is so.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch import nn

from algebraic_cnn.certification.recheck import claims, file
from algebraic_cnn.certification.recheck.layers import Coefficients, Program, each
from algebraic_cnn.certification.recheck.maps import mapped
from algebraic_cnn.certification.recheck.program import checker
from algebraic_cnn.certification.recheck.spelling import spelled
from algebraic_cnn.derivation.exact import exact_map
from algebraic_cnn.ir.trace import trace
from tests.certification.by_fractions import true_claims
from tests.files.damages import damaged

#: A word may announce an image as large as the checker takes; who decides on it may take longer than is waited here.
SECONDS = 10

#: Words of 32 bits that a reader may stumble over.
WORDS = (0, 1, 2, 3, 4, 5, 0x7F, 0xFFFF, 0x10000, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def files() -> dict[str, bytes]:
    """A file of every kind of claim, and one with calls."""
    torch.manual_seed(0)
    graph = trace(nn.Sequential(nn.Conv1d(1, 2, 2), nn.Flatten(), nn.Linear(4, 1)).eval(), torch.zeros(1, 1, 3))
    program, exact = spelled(graph), exact_map(graph)
    W, b = np.asarray(exact.W), np.asarray(exact.b)
    whole, floats = mapped(W, b, (1, 1, 3)), [part.astype(np.float64).astype(np.float32) for part in (W, b)]
    p = claims.named_prime(file.network_of(program), 0)
    units = ([q.numerator * pow(q.denominator, -1, p) % p for q in part.ravel().tolist()] for part in (W, b))
    residues = [np.array(numbers, dtype=np.int64) for numbers in units]
    over_p = mapped(residues[0].reshape(W.shape), residues[1], (1, 1, 3))
    kernel = Coefficients.of(W.astype(np.float64)), W.size, Fraction(1, 2**40)
    bias = Coefficients.of(floats[1]), 1, Fraction(1, 2**20)
    tripled, other = (Program((1, 1, 2), (each(feeds, 1),)) for feeds in (((0, 2.0), (0, 1.0)), ((0, 3.0),)))
    steps = [file.region(tripled, [file.equal(other)], (0,)), file.call(("relu", "relu"), ((1,), (1,)), (1, 1, 2))]
    return {
        "equal": file.file_of("", program, [file.equal(whole)]),
        "modulo": file.file_of("", program, [file.modulo(p, over_p)]),
        "rounded": file.file_of("", program, [file.rounded(whole, floats[0], floats[1], -20)]),
        "held": file.file_of("", program, [file.held(whole, [(kernel, bias)])]),
        "calls": file.steps_file("", [(1, 1, 2)], steps, ((2,), (2,))),
    }


def sealed(content: bytes) -> bytes:
    """The file with its own sum."""
    return content + hashlib.md5(content, usedforsecurity=False).digest()


def word(rng: Random, content: bytes) -> bytes:
    """A word of the file replaced."""
    place = rng.randrange(8, len(content) - 4)
    old = int.from_bytes(content[place : place + 4], "little")
    new = rng.choice([*WORDS, old + 1, old - 1, 2 * old, rng.getrandbits(32)]) % (1 << 32)
    return content[:place] + new.to_bytes(4, "little") + content[place + 4 :]


def exchanged(rng: Random, content: bytes) -> bytes:
    """Two words of the file exchanged."""
    one, other = sorted(rng.sample(range(8, len(content) - 4, 4), 2))
    words = content[one : one + 4], content[other : other + 4]
    return content[:one] + words[1] + content[one + 4 : other] + words[0] + content[other + 4 :]


def cut_off(rng: Random, content: bytes) -> bytes:
    """The file up to some place, or with bytes after it."""
    if rng.random() < 0.5:
        return content[: rng.randrange(len(content))]
    return content + rng.randbytes(rng.randrange(1, 50))


DAMAGES: tuple[Callable[[Random, bytes], bytes], ...] = (damaged, word, word, exchanged, cut_off)


def verdicts(count: int, seed: int, path: Path) -> Counter[str]:
    """What the checker says of so many files: refused, or a yes or a no that is right or wrong, or a crash."""
    rng, said, given = Random(seed), Counter[str](), files()
    for number in range(count):
        content = given[rng.choice(list(given))]
        other = rng.choice(DAMAGES)(rng, content[:-16])
        again = number % 2 == 0
        other = sealed(other) if again else other + content[-16:]
        if other == content:
            said["the file itself"] += 1
            continue
        path.write_bytes(other)
        command = [str(checker()), str(path), "--seed", str(number), "--bits", "40"]
        kind = "forged" if again else "damaged"
        try:
            run = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            said[f"{kind}, slow"] += 1
            continue
        if run.returncode == 2 and run.stderr.startswith(b"error: "):
            said[f"{kind}, refused"] += 1
        elif run.returncode in (0, 1):
            yes = run.returncode == 0
            said[f"{kind}, {'yes' if yes else 'no'}, {'right' if true_claims(path) == yes else 'wrong'}"] += 1
        else:
            said[f"{kind}, crashed"] += 1
            path.rename(path.with_suffix(f".{number}"))
    return said


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name, many in sorted(verdicts(int((sys.argv[1:] or ["10000"])[0]), 0, Path(folder, "x.cert")).items()):
            print(f"{name:24} {many}")
