"""ScaNN as a library: whether it can be used here, loaded without TensorFlow, and told of what the CPU can do."""

import importlib
import importlib.util
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from ctypes import CDLL, c_bool
from pathlib import Path
from types import ModuleType

_AVX2_SWITCH = "_ZN14research_scann14flags_internal15should_use_avx2E"  # in its library; public, if not documented


def scann_problem() -> str | None:
    """Why ScaNN cannot be used here, in one line; None where it can."""
    if importlib.util.find_spec("scann") is None:
        return "scann is not installed (it has wheels for Linux only)"
    missing = _missing_cpu_flags("avx", "fma")
    if missing:  # importing it would end the process with SIGILL
        return f"this CPU lacks {' and '.join(missing)}, which scann's wheel needs"
    try:
        load_scann()
    except Exception as error:  # a wheel that does not fit raises whatever its loader does
        return f"scann does not load: {str(error).splitlines()[0]}"
    return None


def load_scann() -> ModuleType:
    """`scann_ops_pybind`, imported without TensorFlow: a quarter of a second, not seven, and any TensorFlow will do.

    ScaNN imports TensorFlow for its TensorFlow ops if it can. Its wheel fits one TensorFlow version only, and we do
    not use those ops.
    """
    with nullcontext() if "scann" in sys.modules else tensorflow_hidden():
        library = importlib.import_module("scann.scann_ops.py.scann_ops_pybind")
    _use_avx2(library)
    return library


def _use_avx2(library: ModuleType) -> None:
    """Have searches use AVX2 where the CPU has it, which ScaNN 1.4.2 does not notice.

    A quantised index and a tree find the same to the bit; where all scores are computed, many at once, they are rounded
    otherwise. A wheel without such a switch is left as it is.
    """
    if not _missing_cpu_flags("avx2", "fma"):
        with suppress(OSError, ValueError, AttributeError):
            c_bool.in_dll(CDLL(library.scann_pybind.__file__), _AVX2_SWITCH).value = True


@contextmanager
def tensorflow_hidden() -> Iterator[None]:
    """`import tensorflow` raises ModuleNotFoundError meanwhile; what was imported before is put back untouched."""
    missing = object()
    before = sys.modules.get("tensorflow", missing)
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is missing:
            del sys.modules["tensorflow"]
        else:
            sys.modules["tensorflow"] = before  # type: ignore[assignment]


def _missing_cpu_flags(*wanted: str) -> list[str]:
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() != "x86_64" or not cpuinfo.exists():
        return []
    flags = next((line.split() for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), [])
    return [flag for flag in wanted if flag not in flags]
