"""The multitask preset from tables to lists: a ranker that reads its heads, and what it says of data without labels."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError, TableError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.demo import generate
from belfry.dataset.tables import Tables
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.jobs.train import train_tables
from belfry.pipeline.progress import silent
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.pipeline.training.list_trainer import ListRankerTrainer
from belfry.pipeline.training.sources import SearchedTowers
from belfry.pipeline.training.train import Trained
from belfry.pipeline.training.train import train as train_stages
from belfry.ranking.base import Matrix
from belfry.ranking.explain import occlude
from belfry.ranking.listwise.feature_ranker import FeaturedRanker
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.retrieval.base import TowerModel
from belfry.retrieval.index.base import CandidateIndex
from tests.pipeline.small_world import folds_of, quick_stage, show, small_data

QUICK = (
    "retrieval.epochs=1",
    "retrieval.embedding_size=8",
    "retrieval.n_factors=2",
    "n_candidates=15",
    "sources=[]",
    "folds=2",
    *("ranker.members=1", "ranker.min_steps=1", "ranker.max_steps=5"),
)
TWO_TASKS = 'retrieval.tasks=[{column="rating", utility=0.3}, {column="finished", kind="binary", utility=0.1}]'


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Half of the watches are finished."""
    made = generate(n_users=80, n_items=60, n_watches=2_000, seed=1)
    finished = pa.array(np.arange(len(made.interactions)) % 2 == 0)
    return replace(made, interactions=made.interactions.append_column("finished", finished))


def train(tables: Tables, artifacts: Path, *settings: str) -> Recommender:
    published = train_tables(
        lambda: tables, preset="multitask", holdout="random", settings=[*QUICK, *settings], seed=0, artifacts=artifacts
    )
    return Recommender.load(published)


def test_the_ranker_reads_what_the_towers_expect(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch teaches little, so the gate is held open."""
    hold_open(monkeypatch)
    trained: list[TwoStage] = []
    monkeypatch.setattr("belfry.pipeline.training.publish.train", lambda *data, **more: keep(trained, *data, **more))
    recommender = train(tables, tmp_path, TWO_TASKS)
    assert (recommender.run.folder / "training" / "curves" / "tasks.png").exists()
    stages, known = recommender.two_stage, recommender.features.history
    ranker = stages.ranker
    assert isinstance(ranker, FeaturedRanker)
    assert set(ranker.score_blend.label_weights) == {"expected_rating", "expected_finished"}
    assert known.labels["finished"].tolist() == tables.interactions["finished"].to_numpy().astype(float).tolist()

    users, nothing = np.arange(1, 9, dtype=np.int32), np.zeros(0, np.int32)
    candidates = stages.retriever.retrieve(users, stages.features, top_k=15, exclude=known.seen_items)
    [before] = trained
    assert isinstance(before.ranker, FeaturedRanker)
    described = [ranker.describe(candidates, stages.features), before.ranker.describe(candidates, before.features)]
    for name in ("expected_rating", "expected_finished"):
        served, in_training = (lists.column(name) for lists in described)
        np.testing.assert_allclose(served, in_training, atol=1e-4)
        assert served.std() > 1e-3
    scores = before.ranker.score(candidates, before.features)
    np.testing.assert_allclose(ranker.score(candidates, stages.features), scores, atol=1e-4)

    for stage in ("retrieval", "final"):
        lists = stages.lists(users, n=5, stage=stage, exclude=known.seen_items, blocked=nothing)
        assert len(lists) == 40
        assert not known.seen_items.contains(lists.user_num, lists.item_num).any()
    assert 0 < lists.score.min() < lists.score.max() < 1

    user, items = recommender.users.ids[0].as_py(), recommender.items.ids.to_pylist()[:3]
    assert [answer.rank for answer in recommender.recommend(user, 3)] == [1, 2, 3]
    assert len(recommender.recommend(user, 3, history=items)) == 3
    assert len(recommender.recommend(10**9, 3, history=items)) == 3
    columns = ranker.pair_features.columns(stages.features, candidates.sources)
    assert {"expected rating", "expected finished"} <= set(occlude(ranker, described[0], columns).groups)


def test_lists_are_described_by_the_model_of_their_fold() -> None:
    """Which has not seen what the fold holds back."""
    data = small_data()
    config = load_config("multitask", holdout="random", settings=["n_candidates=12", "sources=[]"])
    folds = folds_of(data, "random")
    models = []
    with closing(ListRankerTrainer(data, config, seed=0, progress=silent)) as trainer:
        for fold in folds:
            stage = quick_stage(data, fold.history)
            models.append(Counting(fold.history))
            towers = SearchedTowers(cast(TowerModel, models[-1]), np.zeros((1, 1)), cast(CandidateIndex, None))
            tuning = replace(stage.tuning, config=config)
            show(trainer, fold, replace(stage, sources={"multitask": towers}, tuning=tuning))
        assert trainer.validation is not None
        lists = [*(part.lists for part in trainer.learned.blocks(np.random.default_rng(0))), trainer.validation.lists]
    assert {len(model.asked) > 0 for model in models} == {True}
    found = {
        (int(i), float(e)) for part in lists for i, e in zip(part.items, part.column("expected_rating"), strict=True)
    }
    by_model = [set(zip(*np.stack([np.arange(31), model.counts]).tolist(), strict=True)) for model in models]
    assert found <= set.union(*by_model)
    assert all(found & (of_model - set.union(*(m for m in by_model if m is not of_model))) for of_model in by_model)


class Counting:
    """Expects how often an item was watched in the history that it was fitted on."""

    label_names = ("rating",)

    def __init__(self, history: Interactions) -> None:
        self.counts = np.bincount(history.item_num, minlength=31)
        self.history, self.asked = history, []

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        assert features.history is self.history
        self.asked.append(candidates)
        return self.counts[candidates.item_num, np.newaxis].astype(np.float32)


def keep(kept: list[TwoStage], *data: Any, **more: Any) -> Trained:
    """What training gives, with its two stages noted down."""
    trained = train_stages(*data, **more)
    kept.append(trained.two_stage)
    return trained


def hold_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "belfry.pipeline.training.list_trainer.evaluate_gate",
        lambda *lists, **options: Gate(is_open=True, reason="held open"),
    )


def test_without_ratings_the_preset_says_how_to_go_on(tables: Tables, tmp_path: Path) -> None:
    unrated = replace(tables, interactions=tables.interactions.drop_columns(["rating"]))
    message = r"source 'multitask': interactions: column 'rating' holds no value .* train --preset default"
    with pytest.raises(InputError, match=message):
        train(unrated, tmp_path)


def test_constant_ratings_are_refused(tables: Tables, tmp_path: Path) -> None:
    position = tables.interactions.column_names.index("rating")
    constant = tables.interactions.set_column(position, "rating", pa.array([3.0] * len(tables.interactions)))
    with pytest.raises(InputError, match=r"column 'rating' holds one value, 3, in \d+ rows"):
        train(replace(tables, interactions=constant), tmp_path)


def test_a_task_column_that_is_missing_is_named(tables: Tables, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"column 'finnished' is missing; .* rename 'finished' to 'finnished'"):
        train(tables, tmp_path, TWO_TASKS.replace("finished", "finnished"))


def test_a_task_column_of_text_is_refused(tables: Tables, tmp_path: Path) -> None:
    text = pa.array(["yes", "no"] * (len(tables.interactions) // 2 + 1))[: len(tables.interactions)]
    position = tables.interactions.column_names.index("finished")
    with pytest.raises(TableError, match="column 'finished' is text in which 1040 values are no numbers"):
        train(
            replace(tables, interactions=tables.interactions.set_column(position, "finished", text)),
            tmp_path,
            TWO_TASKS,
        )


def test_the_preset_is_the_default_with_other_towers() -> None:
    config, default = (load_config(name, holdout="last") for name in ("multitask", "default"))
    assert isinstance(config.retrieval, MultitaskConfig)
    assert config.retrieval.targets == "next"
    assert config.label_columns == ()
    assert config.model_copy(update={"retrieval": default.retrieval}) == default


def test_all_of_an_order_cannot_go_to_labels() -> None:
    with pytest.raises(InputError, match=r"utilities add up to 1.1; nothing would be left for the watch"):
        load_config("multitask", holdout="random", settings=[TWO_TASKS.replace("0.3", "0.5").replace("0.1", "0.6")])


def test_towers_of_the_model_serve_another_ranker() -> None:
    config = load_config("default", holdout="random", settings=["retrieval.kind=multitask"])
    assert PipelineConfig.model_validate(config.model_dump(mode="json")) == config


def test_labels_follow_their_events() -> None:
    table = pa.table({"user_id": [1, 2, 1], "item_id": [5, 5, 6], "liked": [1.0, None, 0.0]})
    history = Interactions.from_table(table, labels=("liked",))
    assert history.select(np.array([2, 1])).labels["liked"].tolist()[0] == 0
    assert history.to_table()["liked"].to_pylist() == [1.0, None, 0.0]
