"""What MLflow and TensorBoard are told of a run."""

import shutil
from pathlib import Path

import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.runs.registry import tracking
from belfry.pipeline.runs.registry.tracking import trackers_of


@pytest.fixture
def run_with_curves(tiny_run: Path, tmp_path: Path) -> Path:
    run = tmp_path / tiny_run.name
    shutil.copytree(tiny_run, run)
    curves = run / "training" / "curves"
    curves.mkdir(exist_ok=True)
    (curves / "training.csv").write_text("epoch,loss,top_10\n1,3.5,0.25\n2,2.5,0.5\n")
    return run


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_mlflow_has_settings_figures_and_curves(run_with_curves, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    place = tmp_path / "mlruns"
    [tell] = trackers_of([f"mlflow:{place}"])
    tell(run_with_curves)
    tell(run_with_curves)
    client = mlflow.MlflowClient(tracking_uri=place.as_uri())
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    told = client.search_runs([experiment.experiment_id])
    assert [one.info.run_name for one in told] == [run_with_curves.name] * 2
    params, metrics = told[0].data.params, told[0].data.metrics
    assert params["retrieval.kind"] == "two_tower"
    assert params["seed"] == "0"
    assert "gate.n_lists" in metrics
    assert "index.recall" in metrics
    curve = client.get_metric_history(told[0].info.run_id, "training.loss")
    assert [(one.step, one.value) for one in curve] == [(1, 3.5), (2, 2.5)]


def test_tensorboard_has_figures_and_curves(run_with_curves, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    [tell] = trackers_of([f"tensorboard:{tmp_path / 'logs'}"])
    tell(run_with_curves)
    events = EventAccumulator(str(tmp_path / "logs" / run_with_curves.name))
    events.Reload()
    assert [(one.step, round(tensor_value(one), 3)) for one in events.Tensors("training.loss")] == [(1, 3.5), (2, 2.5)]
    assert "index.recall" in events.Tags()["tensors"]


def tensor_value(event) -> float:
    from tensorboard.util.tensor_util import make_ndarray

    return float(make_ndarray(event.tensor_proto))


@pytest.mark.parametrize("text", ["mlflow", "mlflow:", "wandb:x", "", "mlruns"])
def test_forms_that_are_none(text):
    with pytest.raises(InputError, match="wanted mlflow:FOLDER"):
        trackers_of([text])


def test_what_is_missing_or_cannot_be_written_is_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        trackers_of([f"tensorboard:{tmp_path / 'file'}"])
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"belfry-recommender\[track\]"):
        trackers_of(["mlflow:x"])


def test_a_tracker_that_fails_says_that_the_run_is_published(tmp_path):
    [tell] = trackers_of([f"tensorboard:{tmp_path / 'logs'}"])
    with pytest.raises(BelfryError, match=r"is published, but tensorboard:.* could not be told"):
        tell(tmp_path / "nothing")
