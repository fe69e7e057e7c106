"""Doctor: finds what is wrong, says what to do, quickly."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from belfry.pipeline.cli import doctor
from belfry.pipeline.cli.doctor import Check, diagnose, exit_code
from belfry.pipeline.runs.manifest import RunInfo
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.runs.writer import publish


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("BELFRY_DATA", raising=False)
    monkeypatch.delenv("BELFRY_CACHE", raising=False)
    monkeypatch.delenv("TF_USE_LEGACY_KERAS", raising=False)
    monkeypatch.setenv("BELFRY_ARTIFACTS", str(tmp_path / "artifacts"))


def find(name: str) -> Check:
    (check,) = (check for check in diagnose() if check.name == name)
    return check


def pretend_versions(monkeypatch, **versions: str | None) -> None:
    from importlib.metadata import version as real

    def version(name: str) -> str:
        pretended = versions.get(name.replace("-", "_"), "real")
        if pretended is None:
            raise PackageNotFoundError(name)
        return real(name) if pretended == "real" else pretended

    monkeypatch.setattr("belfry.pipeline.runs.versions.version", version)


def test_it_imports_nothing_heavy():
    program = (
        "import sys; from belfry.pipeline.cli.doctor import diagnose; diagnose()\n"
        "print([name for name in ('tensorflow', 'pandas', 'pyarrow', 'numpy', 'scann', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_installed_here_is_found():
    checks = diagnose()
    assert len({check.name for check in checks}) == len(checks)
    assert all(bool(check.remedy) == (check.status != "ok") for check in checks)
    assert find("numpy").status == "ok"
    assert installed_versions()["numpy"] == find("numpy").found
    assert {"python", "pydantic"} <= set(installed_versions())


def test_cores_are_those_that_work(monkeypatch):
    monkeypatch.setattr(doctor, "usable_cores", lambda: 3)  # which knows the share of a container
    assert find("cores").found == "3 usable"


def test_exit_code_counts_failures_only():
    assert exit_code([Check("a", "ok", ""), Check("b", "warn", "", "mend")]) == 0
    assert exit_code([Check("a", "ok", ""), Check("b", "fail", "", "mend")]) == 1


def test_our_version_is_that_of_our_distribution(monkeypatch):
    pretend_versions(monkeypatch, belfry_recommender="1.2.3", belfry="9.9.9")
    assert find("belfry-recommender") == Check("belfry-recommender", "ok", "1.2.3")
    assert installed_versions()["belfry-recommender"] == "1.2.3"
    pretend_versions(monkeypatch, belfry_recommender=None)
    assert find("belfry-recommender").status == "ok"


@pytest.mark.parametrize(
    ("folder", "status"), [("belfry", "warn"), ("belfry.py", "warn"), ("belfrey", "ok"), ("other/belfry", "ok")]
)
def test_another_distribution_that_brings_a_package_belfry(monkeypatch, tmp_path, folder, status):
    metadata = tmp_path / "bells-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: bells\nVersion: 1.0\n")
    record = folder if folder.endswith(".py") else f"{folder}/__init__.py"
    (metadata / "RECORD").write_text(f"{record},,\n")
    (tmp_path / record).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / record).touch()  # some readers of metadata leave out what is not there
    monkeypatch.syspath_prepend(tmp_path)
    check = find("belfry-recommender")
    assert check.status == status
    assert ("'belfry' comes from bells too" in check.found) == (status == "warn")
    assert ("pip uninstall bells;" in check.remedy) == (status == "warn")


def test_missing_libraries(monkeypatch):
    pretend_versions(monkeypatch, onnxruntime=None, tensorflow=None, scann=None)
    assert find("onnxruntime") == Check(
        "onnxruntime", "fail", "not installed", "nothing works without it: pip install onnxruntime"
    )
    assert find("tensorflow").status == "warn"
    assert "exact index" in find("scann").remedy
    assert find("tensorflow with scann").status == "ok"
    assert "tensorflow" not in installed_versions()


@pytest.mark.parametrize(
    ("tensorflow", "scann", "status", "remedy"),
    [
        ("2.20.0", "1.4.2", "ok", ""),
        ("2.20.3", "1.4.2", "ok", ""),
        ("2.21.0", "1.4.2", "fail", 'scann 1.4.2 is built for 2.20: pip install "tensorflow==2.20.*"'),
        ("2.21.0", "1.5.0", "warn", "never tried"),
    ],
)
def test_scann_goes_with_one_tensorflow(monkeypatch, tensorflow, scann, status, remedy):
    pretend_versions(monkeypatch, tensorflow=tensorflow, scann=scann)
    check = find("tensorflow with scann")
    assert check.status == status
    assert remedy in check.remedy


def test_keras_2_goes_with_its_tensorflow(monkeypatch):
    pretend_versions(monkeypatch, tensorflow="2.20.0", tf_keras="2.19.0")
    check = find("tensorflow with tf-keras")
    assert (check.status, check.remedy) == ("fail", 'pip install "tf-keras==2.20.*"')


@pytest.mark.parametrize(("value", "status"), [("1", "ok"), ("True", "ok"), ("0", "fail"), ("", "fail")])
def test_the_keras_switch(monkeypatch, value, status):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
    assert find("TF_USE_LEGACY_KERAS").status == status


@pytest.mark.parametrize(
    ("text", "status", "found"),
    [
        ("model name: x\nflags\t\t: sse avx avx2 fma\n", "ok", "AVX, AVX2, FMA"),
        ("flags : sse avx\n", "warn", "AVX"),
        ("flags : sse\n", "fail", "no AVX"),
        ("Features : neon\n", "ok", "cannot be told"),
        (None, "ok", "cannot be told"),
    ],
)
def test_the_processor(monkeypatch, tmp_path, text, status, found):
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(doctor, "_CPUINFO", path)
    check = find("processor")
    assert check.status == status
    assert found in check.found


@pytest.mark.parametrize(
    ("size", "status", "found"),
    [(1 << 30, "warn", "1.0 GiB free"), (3 << 30, "ok", "3.0 GiB free"), (None, "ok", "cannot be told here")],
)
def test_memory_that_is_free_counts(monkeypatch, size, status, found):
    monkeypatch.setattr(doctor, "available_bytes", lambda: size)
    assert (find("memory").status, find("memory").found) == (status, found)


def test_the_data_folder(monkeypatch, tmp_path):
    assert find("data folder (BELFRY_DATA)").status == "ok"
    monkeypatch.setenv("BELFRY_DATA", str(tmp_path))
    assert find("data folder (BELFRY_DATA)").found == str(tmp_path)
    monkeypatch.setenv("BELFRY_DATA", str(tmp_path / "missing"))
    assert find("data folder (BELFRY_DATA)").status == "fail"


def test_the_cache(monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    monkeypatch.setenv("BELFRY_CACHE", str(cache))
    assert find("cache (BELFRY_CACHE)").found == f"{cache}: not there yet"
    cache.mkdir()
    assert find("cache (BELFRY_CACHE)").found == f"{cache}: empty"
    (cache / "ml-100k.zip").write_bytes(b"")
    assert find("cache (BELFRY_CACHE)").found == f"{cache}: ml-100k.zip"
    monkeypatch.setenv("BELFRY_CACHE", str(cache / "ml-100k.zip"))
    assert find("cache (BELFRY_CACHE)").status == "warn"


def test_the_artifacts_folder(monkeypatch, tmp_path):
    artifacts = tmp_path / "artifacts"
    assert find("artifacts folder").found == f"{artifacts}: not there yet"
    with publish(artifacts, RunInfo(preset="p", seed=0, holdout="time", config={}, versions={}, input_hash="")) as run:
        (run.folder / "file").write_text("x")
    assert run.published is not None
    assert find("current run") == Check("current run", "ok", run.published.name)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert find("artifacts folder") == Check(
        "artifacts folder",
        "warn",
        f"{artifacts}: can be read and not written",
        "its runs answer; to train or update, let BELFRY_ARTIFACTS name another",
    )
    (artifacts / "current").write_text("../elsewhere")
    assert find("artifacts folder").status == "fail"
    assert find("current run").status == "warn"
    assert "'../elsewhere' is not the name of a run" in find("current run").remedy
    monkeypatch.setenv("BELFRY_ARTIFACTS", str(artifacts / "current"))
    assert find("artifacts folder").status == "fail"
    assert exit_code(diagnose()) == 1


def test_folders_that_cannot_be_looked_at(monkeypatch, tmp_path):
    for name in ("BELFRY_CACHE", "BELFRY_ARTIFACTS"):
        monkeypatch.setenv(name, str(tmp_path / ("x" * 300)))
    assert find("cache (BELFRY_CACHE)").status == "warn"
    assert find("artifacts folder").status == "fail"
    assert "File name too long" in find("current run").remedy
