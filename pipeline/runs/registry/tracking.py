"""Tracking: what a published run says of itself, told to MLflow or TensorBoard."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from pydantic import JsonValue

from belfry.dataset.errors import BelfryError, InputError, cause_of, pip_install
from belfry.pipeline.runs.disk import check_writable
from belfry.pipeline.runs.manifest import MANIFEST, Manifest, read_manifest
from belfry.pipeline.runs.registry.differences import leaves

EXPERIMENT = "belfry"  # of MLflow
MAX_VALUE = 500  # signs of a parameter; older servers of MLflow take no more
PARAMS_AT_ONCE = 100  # that MLflow takes
EVALUATION = "evaluation.json"
_TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
_WANTED = "mlflow:FOLDER, mlflow:http://HOST:PORT or tensorboard:FOLDER"

Curve = tuple[str, list[float]]  # name, value by epoch


def trackers_of(texts: Sequence[str]) -> list[Callable[[Path], None]]:
    """What tells of a run folder, one for each text such as "mlflow:mlruns"; checked before any work.

    Raises:
        InputError: a text is none of the forms, its library is missing, or its folder cannot be written.
    """
    return [_tracker_of(text) for text in texts]


def _tracker_of(text: str) -> Callable[[Path], None]:
    kind, _, place = text.partition(":")
    tellers = {"mlflow": _tell_mlflow, "tensorboard": _tell_tensorboard}
    if kind not in tellers or not place:
        raise InputError(f"--track {text[:100]!r}: wanted {_WANTED}")
    if find_spec(kind) is None:
        raise InputError(f"--track {kind}: not installed; run: {pip_install('track')}")
    if "://" not in place:
        check_writable(Path(place), remedy="name another folder")

    def tell(run: Path) -> None:
        try:
            tellers[kind](run, place)
        except Exception as error:  # of a foreign library, a server, a disk
            raise BelfryError(f"{run}: is published, but {text} could not be told of it ({cause_of(error)})") from error

    return tell


def _tell_mlflow(run: Path, place: str) -> None:
    os.environ.update({key: value for key, value in _TELEMETRY_OFF.items() if key not in os.environ})
    if "://" not in place:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    manifest = read_manifest(run / MANIFEST)
    mlflow.set_tracking_uri(place if "://" in place else Path(place).absolute().as_uri())
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=manifest.name):
        params = {key: str(value)[:MAX_VALUE] for key, value in _params(manifest).items()}
        keys = list(params)
        for start in range(0, len(keys), PARAMS_AT_ONCE):
            mlflow.log_params({key: params[key] for key in keys[start : start + PARAMS_AT_ONCE]})
        versions = {f"version.{name}": text for name, text in manifest.versions.items()}
        mlflow.set_tags({"input_hash": manifest.input_hash, "gate": manifest.gate.reason, **versions})
        mlflow.log_metrics(_metrics(manifest, run))
        for name, values in _curves(run):
            for epoch, value in enumerate(values, 1):
                mlflow.log_metric(name, value, step=epoch)
        for page in ("evaluation.md", MANIFEST):
            if (run / page).is_file():
                mlflow.log_artifact(str(run / page))


def _tell_tensorboard(run: Path, place: str) -> None:
    from tensorboard.summary import Writer

    manifest = read_manifest(run / MANIFEST)
    writer = Writer(str(Path(place) / manifest.name))
    for name, value in _metrics(manifest, run).items():
        writer.add_scalar(name, value, 0)
    for name, values in _curves(run):
        for epoch, value in enumerate(values, 1):
            writer.add_scalar(name, value, epoch)
    writer.close()


def _params(manifest: Manifest) -> dict[str, JsonValue]:
    about: dict[str, JsonValue] = {"preset": manifest.preset, "seed": manifest.seed, "holdout": manifest.holdout}
    return {**about, **dict(leaves(manifest.config))}


def _metrics(manifest: Manifest, run: Path) -> dict[str, float]:
    """Numbers that are no settings: gate, sources, index, seconds, and the evaluation where there is one."""
    found: Mapping[str, JsonValue] = {"gate": manifest.gate.model_dump(mode="json"), **manifest.notes}
    metrics = {
        name: float(value)
        for name, value in leaves(found)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return {_plain(name): value for name, value in (metrics | dict(_evaluation(run))).items()}


def _evaluation(run: Path) -> Iterator[tuple[str, float]]:
    if not (run / EVALUATION).is_file():
        return
    import json

    for system in json.loads((run / EVALUATION).read_text())["systems"]:
        for metric, interval in system["metrics"].items():
            if (mean := interval["mean"]) is not None:
                yield f"{system['name']}.{metric}", mean


def _curves(run: Path) -> Iterator[Curve]:
    """Those that training left, by file and column."""
    for path in sorted((run / "training" / "curves").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for name in rows[0] if rows else ():
            if name != "epoch":
                yield _plain(f"{path.stem}.{name}"), [float(row[name]) for row in rows]


def _plain(name: str) -> str:
    """With the signs that both take in the name of a metric."""
    return "".join(sign if sign.isalnum() or sign in "_-./ " else "_" for sign in name)
