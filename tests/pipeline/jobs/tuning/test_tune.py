"""`belfry tune`: what a search keeps, goes on with and refuses."""

import tomllib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from optuna.trial import FixedTrial

from belfry.dataset.errors import BelfryError, DivergenceError, InputError
from belfry.dataset.sources.demo import generate
from belfry.dataset.tables import Tables
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.jobs.tuning import tune as tune_module
from belfry.pipeline.jobs.tuning.space import _SPACE, Range, settings_of
from belfry.pipeline.jobs.tuning.tune import Tuned, tune_tables
from belfry.pipeline.jobs.tuning.validation import Validation
from belfry.pipeline.training.train import train

LIGHT = ("retrieval.kind=pure_svd", "retrieval.embedding_size=4", "ranker=none", "sources=[]")


def tables(seed: int = 0) -> Tables:
    return generate(n_users=120, n_items=60, n_watches=3_000, seed=seed)


def tune(out: Path, *, n_trials: int = 3, seed_of_data: int = 0, settings: tuple[str, ...] = LIGHT, **options) -> Tuned:
    return tune_tables(partial(tables, seed_of_data), out=out, n_trials=n_trials, settings=settings, **options)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Lists are as good as this says, by number of candidates; a user more or less by chance."""
    worth = {"200": 0.5, "100": 0.2, "400": 0.2}

    def scores(self, config, *, seed, on_first_stage=None):
        noise = np.random.default_rng([seed, config.n_candidates]).normal(0, 0.01, len(self.context.users))
        return worth[str(config.n_candidates)] + noise

    monkeypatch.setattr(Validation, "scores", scores)
    return worth


def test_what_is_better_becomes_the_preset(tmp_path, told):
    told["400"] = 0.9
    found = tune(tmp_path / "search", n_trials=12)
    assert found.is_better
    assert found.settings == ["n_candidates=400"]
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(0.4, abs=0.01)
    preset = tomllib.loads(found.preset.read_text())
    assert preset["n_candidates"] == 400
    assert preset["ranker"] == "none"  # what the user had set stays
    assert load_config(str(found.preset), holdout="random").n_candidates == 400
    assert "better: ndcg@10 +0.4" in found.lines()[0]


def test_what_the_search_began_with_stays_where_nothing_is_better(tmp_path, told):
    found = tune(tmp_path / "search", n_trials=6)
    assert (found.is_better, found.settings, found.difference) == (False, [], None)
    assert "n_candidates" not in tomllib.loads(found.preset.read_text())


def test_what_only_looked_better_is_not_kept(tmp_path, told, monkeypatch):
    """Users who chose the trial like it; those who did not say nothing of the kind."""
    scores = Validation.scores

    def lucky(self, config, *, seed, **options):
        found = scores(self, config, seed=seed)
        return (
            found + np.where(self.chooses & (config.n_candidates == 400), 0.5, 0) + (config.n_candidates == 400) * 0.3
        )

    monkeypatch.setattr(Validation, "scores", lucky)
    found = tune(tmp_path / "search", n_trials=12)
    assert found.settings == ["n_candidates=400"]
    assert not found.is_better
    assert found.difference is not None
    assert found.difference.low < 0 < found.difference.high
    assert "n_candidates" not in tomllib.loads(found.preset.read_text())


def test_a_real_search_writes_its_page_and_goes_on(tmp_path):
    out = tmp_path / "search"
    assert tune(out, n_trials=2).n_trials == 2
    assert tune(out, n_trials=2).n_trials == 2
    found = tune(out, n_trials=3)
    assert found.n_trials == 3
    assert "3 trials" in found.page.read_text()
    assert {path.name for path in out.iterdir()} == {"study.sqlite", "tuned.toml", "tuning.md"}


def test_a_study_of_other_data_is_refused(tmp_path):
    out = tmp_path / "search"
    tune(out, n_trials=1)
    with pytest.raises(InputError, match="other data, settings or seed"):
        tune(out, n_trials=1, seed_of_data=1)
    with pytest.raises(InputError, match="other data, settings or seed"):
        tune(out, n_trials=1, settings=(*LIGHT, "n_candidates=50"))


def test_a_file_that_is_no_study(tmp_path):
    (tmp_path / "study.sqlite").write_text("not a database " * 100)
    with pytest.raises(InputError, match="no study that can be gone on with"):
        tune(tmp_path)


def test_a_trial_that_diverges_is_one_less(tmp_path, told, monkeypatch):
    scores = Validation.scores

    def diverging(self, config, **options):
        if config.n_candidates == 400:
            raise DivergenceError("loss is not finite")
        return scores(self, config, **options)

    monkeypatch.setattr(Validation, "scores", diverging)
    assert tune(tmp_path / "a", n_trials=8).settings == []

    def never(self, config, **options):
        raise DivergenceError("loss is not finite")

    monkeypatch.setattr(Validation, "scores", never)
    with pytest.raises(BelfryError, match="none of 2 trials could be trained"):
        tune(tmp_path / "b", n_trials=2)


def test_time_ends_a_search(tmp_path, told, monkeypatch):
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(tune_module, "perf_counter", lambda: next(clock))
    assert tune(tmp_path / "search", n_trials=50, time_s=1_500).n_trials < 10


def test_too_few_users(tmp_path):
    few = pa.table({"user_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3, 1, 2, 3]})
    with pytest.raises(InputError, match="a search needs 40"):
        tune_tables(lambda: Tables(few), out=tmp_path / "search", n_trials=1, settings=LIGHT)


def test_trials_without_hope_end_after_the_first_fold(tmp_path):
    """Training tells what its first fold decided, and stops where it is told to."""

    class StopHereError(Exception):
        pass

    def stop(tuning):
        assert tuning.choice is not None
        raise StopHereError

    data, config, holdout = tune_module.prepare_tables(
        tables(), "default", "random", ["retrieval.kind=pure_svd", "ranker=none"]
    )
    with pytest.raises(StopHereError):
        train(data, config, holdout=holdout, seed=0, on_first_stage=stop)


@pytest.mark.parametrize("end", ["low", "high"])
def test_every_value_that_may_be_tried_is_a_setting(end):
    chosen = {
        key: getattr(values, end) if isinstance(values, Range) else values.values[0 if end == "low" else -1]
        for _, part in _SPACE
        for key, values in part.items()
    }
    changes = settings_of(FixedTrial(chosen), PipelineConfig(), frozenset({"n_candidates"}))
    assert len(changes) == len(chosen) - 1
    config = load_config("default", holdout="random", settings=changes)
    assert config != PipelineConfig()
    assert config.n_candidates == PipelineConfig().n_candidates
