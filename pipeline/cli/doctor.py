"""What `belfry doctor` finds out: versions, processor, settings, folders. Imports nothing heavy, changes nothing."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from belfry.dataset.concurrency.machine import available_bytes, usable_cores
from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.sources.web.cache import cache_folder
from belfry.dataset.sources.web.objects import place_of
from belfry.pipeline.cli.colour import Meaning
from belfry.pipeline.runs.reader import current_run, default_artifacts
from belfry.pipeline.runs.remote.store import address_of_runs
from belfry.pipeline.runs.versions import ANSWERING, BELFRY, COMPARING, TRAINING, installed_version, other_distributions

Status: TypeAlias = Literal["ok", "warn", "fail"]
MEANINGS: dict[Status, Meaning] = {"ok": "good", "warn": "caution", "fail": "bad"}

# ScaNN's wheel is linked against one TensorFlow minor version; with another, importing it fails.
SCANN_NEEDS_TENSORFLOW = {"1.4": "2.20"}  # minor versions
LEGACY_KERAS = "TF_USE_LEGACY_KERAS"

_GIBIBYTE = 1 << 30
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Check:
    """One thing looked at. `fail`: something of Belfry will not work; `warn`: it works, less well."""

    name: str
    status: Status
    found: str
    remedy: str = ""  # what to do; empty where all is well


def diagnose() -> list[Check]:
    """Look at everything, in the order in which it is best read."""
    return [
        _check_belfry(),
        _check_python(),
        *(_check_installed(name, "fail", "nothing works without it") for name in ANSWERING),
        *(_check_installed(name, "warn", "training needs it, answering does not") for name in TRAINING),
        *(_check_installed(name, "warn", "belfry compare needs it") for name in COMPARING),
        _check_installed("scann", "warn", "the exact index takes its place, slower over large catalogues"),
        _check_keras_fits(),
        _check_scann_fits(),
        _check_legacy_keras(),
        _check_processor(),
        _check_cores(),
        _check_memory(),
        _check_data(),
        _check_cache(),
        *_check_artifacts(),
    ]


def exit_code(checks: list[Check]) -> int:
    """1 where a check failed, else 0; a warning stops nobody."""
    return int(any(check.status == "fail" for check in checks))


def _minor(full: str) -> str:
    return ".".join(full.split(".")[:2])


def _check_belfry() -> Check:
    found = installed_version(BELFRY) or "not installed, run from its source"
    if not (others := other_distributions()):
        return Check(BELFRY, "ok", found)
    remedy = f"remove the other one: pip uninstall {' '.join(others)}; then pip install --force-reinstall {BELFRY}"
    return Check(BELFRY, "warn", f"{found}; a package 'belfry' comes from {', '.join(others)} too", remedy)


def _check_python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info < (3, 14):
        return Check("python", "ok", found)
    return Check("python", "warn", found, "use Python 3.11 to 3.13: TensorFlow 2.20 has no wheel for others")


def _check_installed(name: str, missing: Status, consequence: str) -> Check:
    found = installed_version(name)
    if found:
        return Check(name, "ok", found)
    return Check(name, missing, "not installed", f"{consequence}: pip install {name}")


def _check_keras_fits() -> Check:
    name = "tensorflow with tf-keras"
    tensorflow, keras = installed_version("tensorflow"), installed_version("tf-keras")
    found = f"{tensorflow or 'none'} with {keras or 'none'}"
    if not tensorflow or not keras or _minor(tensorflow) == _minor(keras):
        return Check(name, "ok", found)
    return Check(name, "fail", found, f'pip install "tf-keras=={_minor(tensorflow)}.*"')


def _check_scann_fits() -> Check:
    name = "tensorflow with scann"
    tensorflow, scann = installed_version("tensorflow"), installed_version("scann")
    found = f"{tensorflow or 'none'} with {scann or 'none'}"
    if not tensorflow or not scann:
        return Check(name, "ok", found)
    wanted = SCANN_NEEDS_TENSORFLOW.get(_minor(scann))
    if wanted is None:
        return Check(name, "warn", found, "a pair that was never tried; pip install 'scann==1.4.2'")
    if _minor(tensorflow) != wanted:
        return Check(name, "fail", found, f'scann {scann} is built for {wanted}: pip install "tensorflow=={wanted}.*"')
    return Check(name, "ok", found)


def _check_legacy_keras() -> Check:
    value = os.environ.get(LEGACY_KERAS)
    if value is None:
        return Check(LEGACY_KERAS, "ok", "not set; Belfry sets it")
    if value in ("1", "true", "True"):
        return Check(LEGACY_KERAS, "ok", value)
    remedy = f"training needs Keras 2: unset {LEGACY_KERAS}, Belfry sets it"
    return Check(LEGACY_KERAS, "fail", repr(value), remedy)


def _check_processor() -> Check:
    name = "processor"
    flags = _processor_flags()
    if flags is None:
        return Check(name, "ok", f"{platform.machine()}; its features cannot be told here")
    found = ", ".join(feature.upper() for feature in ("avx", "avx2", "fma") if feature in flags) or "no AVX"
    if "avx" not in flags:
        return Check(name, "fail", found, "TensorFlow and ScaNN need AVX: train elsewhere, answer with the exact index")
    if not {"avx2", "fma"} <= flags:
        return Check(name, "warn", found, "works, several times slower than with AVX2 and FMA")
    return Check(name, "ok", found)


def _processor_flags() -> set[str] | None:
    if not _CPUINFO.is_file():
        return None
    for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return None


def _check_cores() -> Check:
    return Check("cores", "ok", f"{usable_cores()} usable")


def _check_memory() -> Check:
    size = available_bytes()
    if size is None:
        return Check("memory", "ok", "cannot be told here")
    found = f"{size / _GIBIBYTE:.1f} GiB free"
    if size < 2 * _GIBIBYTE:
        return Check("memory", "warn", found, "TensorFlow takes 0.6 GiB to import: train where there are 2 GiB or more")
    return Check("memory", "ok", found)


def _check_data() -> Check:
    name = "data folder (BELFRY_DATA)"
    folder = os.environ.get("BELFRY_DATA")
    if not folder:
        return Check(name, "ok", "not set; data sets come from the cache, or are downloaded into it")
    if not Path(folder).is_dir():
        return Check(name, "fail", f"{folder}: no such folder", "unset BELFRY_DATA, or let it name the folder")
    return Check(name, "ok", folder)


def _check_cache() -> Check:
    name = "cache (BELFRY_CACHE)"
    folder = cache_folder()
    if _is_missing(folder):
        return Check(name, "ok", f"{folder}: not there yet")
    if not _is_writable(folder):
        remedy = "downloads cannot be kept: let BELFRY_CACHE name a folder"
        return Check(name, "warn", f"{folder}: not a folder that can be written", remedy)
    held = sorted(path.name for path in folder.iterdir())
    return Check(name, "ok", f"{folder}: {', '.join(held) or 'empty'}")


def _check_artifacts() -> list[Check]:
    folder = default_artifacts()
    name, run = "artifacts folder", "current run"
    if address_of_runs(folder):
        return _check_runs_at_address(folder)
    if _is_missing(folder):
        return [Check(name, "ok", f"{folder}: not there yet"), Check(run, "ok", "none; `belfry run` makes one")]
    try:
        current = Check(run, "ok", current_run(folder).name)
    except ArtifactError as error:
        current = Check(run, "warn", "none that can be used", str(error))
    if _is_writable(folder):
        return [Check(name, "ok", str(folder)), current]
    if current.status == "ok":
        remedy = "its runs answer; to train or update, let BELFRY_ARTIFACTS name another"
        return [Check(name, "warn", f"{folder}: can be read and not written", remedy), current]
    remedy = "let BELFRY_ARTIFACTS name one"
    return [Check(name, "fail", f"{folder}: not a folder that can be written", remedy), current]


def _check_runs_at_address(artifacts: Path) -> list[Check]:
    name = f"current run at {place_of(artifacts)}"
    try:
        return [Check(name, "ok", current_run(artifacts).name)]
    except InputError as error:
        return [Check(name, "warn", "none that can be used", str(error))]


def _is_missing(folder: Path) -> bool:
    """Whether nothing is there, as far as we may look."""
    try:
        return not folder.exists()
    except OSError:
        return False


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK) and folder.is_dir()
