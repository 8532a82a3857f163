"""What a processor may have is switched off: the core of the suite in a process that is shown less of it.

SETTINGS   name to the environment: which instructions oneDNN, ATen, MKL, OpenBLAS and NumPy use, how many threads
CORE       the tests of what is exact, and of what is bounded: neither may depend on the processor

One setting and few examples in ci, all of them and more in the deep profile (``make portable``); every run has one
setting and what is exact in matrices and rings.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests.torches import OLD

ROOT = Path(__file__).parent.parent


def numpy_without(levels: str) -> str:
    """Those of NumPy's levels that this machine has, for NumPy complains of others."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return " ".join(name for name in __cpu_dispatch__ if re.match(levels, name) and __cpu_features__[name])


AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": numpy_without("X86_V4|AVX512"),
}
SSE4 = {
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": numpy_without("X86_V3|X86_V4|AVX512"),
}
SETTINGS = {
    "AVX2, one thread": AVX2 | {"OMP_NUM_THREADS": "1"},
    "AVX2, four threads": AVX2 | {"OMP_NUM_THREADS": "4"},
    "SSE4, two threads": SSE4 | {"OMP_NUM_THREADS": "2"},
    "SSE3 in OpenBLAS, one thread": SSE4 | {"OPENBLAS_CORETYPE": "Prescott", "OMP_NUM_THREADS": "1"},
    "SSE4 in oneDNN, two threads": {"ONEDNN_MAX_CPU_ISA": "SSE41", "OMP_NUM_THREADS": "2"},
    "all there is, four threads": {"OMP_NUM_THREADS": "4"},
}
DEEP, THOROUGH = (settings.default.max_examples >= least for least in (1000, 40))
CORE = """
    tests/algebra/test_recursion.py tests/derivation/test_derivation.py tests/rings/test_residues.py
    tests/ops/test_registry.py
    tests/properties/test_recursion.py tests/properties/test_witnesses.py tests/properties/test_algebra.py
    tests/certification/test_rounding.py tests/certification/test_certificate.py tests/toeplitz/test_conv.py
    tests/derivation/test_bordering.py tests/collapsing/test_kernels.py
""".split()
CORE = CORE if THOROUGH else ["tests/rings/test_residues.py", "tests/toeplitz/test_conv.py"]
WHAT_IS_SHOWN = """
import numpy._core._multiarray_umath as numpy
import scipy.linalg, threadpoolctl, torch
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), numpy.__cpu_features__["X86_V4"])
print({pool["architecture"] for pool in threadpoolctl.threadpool_info() if pool["internal_api"] == "openblas"})
"""

#: How this process runs is not how another does; dask says it of all these libraries.
_OURS = ("PYTEST_", "OMP_", "MKL_", "OPENBLAS_")

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the settings are of x86")


def shown(name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A run of Python in which the processor has no more than the setting says."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    ours |= SETTINGS[name] | {"HYPOTHESIS_PROFILE": "dev" if DEEP else "brief"}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=ours, capture_output=True, text=True, check=False)


@pytest.mark.thorough
@pytest.mark.parametrize("name", SETTINGS if DEEP else list(SETTINGS)[:1])
def test_what_is_exact_or_bounded_does_not_depend_on_the_processor(name: str) -> None:
    done = shown(name, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CORE)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"^[1-9]\d* passed", done.stdout, re.MULTILINE), done.stdout


@pytest.mark.parametrize(
    ("name", "vectors", "threads", "core"),
    [("AVX2, one thread", "AVX2", 1, "Haswell"), ("SSE4, two threads", "NO AVX" if OLD else "DEFAULT", 2, "Nehalem")],
)
def test_a_setting_shows_what_it_says(name: str, vectors: str, threads: int, core: str) -> None:
    if "X86_V4" not in numpy_without("X86_V4"):
        pytest.skip("there is less to switch off")
    assert shown(name, "-c", WHAT_IS_SHOWN).stdout == f"{vectors} {threads} False\n{{'{core}'}}\n"
