"""The multitask preset from tables to lists: one model in both stages, and what it says of data that lack labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.demo import generate
from belfry.dataset.tables import Tables
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.jobs.train import train_tables
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.serving.recommender import Recommender
from belfry.ranking.base import Scores
from belfry.ranking.examples import Examples
from belfry.ranking.multitask.config import MultitaskConfig, MultitaskRankerConfig
from belfry.ranking.multitask.serving import OnnxMultitask
from belfry.ranking.utility import UtilityRanker

QUICK = (
    "retrieval.epochs=1",
    "retrieval.embedding_size=8",
    "retrieval.n_factors=2",
    "n_candidates=15",
    "sources=[]",
    "folds=2",
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
        tables, preset="multitask", holdout="random", settings=[*QUICK, *settings], seed=0, artifacts=artifacts
    )
    return Recommender.load(published)


def test_one_model_is_both_stages(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch teaches little, so the gate is held open."""
    evaluated = []

    def hold_open(validation: Examples, scores: Scores, *, seed: int, tolerance: float) -> Gate:
        evaluated.append((len(validation), scores))
        return Gate(is_open=True, reason="held open")

    monkeypatch.setattr("belfry.pipeline.training.utility_trainer.evaluate_gate", hold_open)
    recommender = train(tables, tmp_path, TWO_TASKS)
    [(n_lists, scores)] = evaluated
    assert n_lists > 50
    assert np.isfinite(scores).all()
    assert (recommender.run.folder / "training" / "curves" / "tasks.png").exists()
    ranker = recommender.two_stage.ranker
    assert isinstance(ranker, UtilityRanker)
    assert isinstance(ranker.labels, OnnxMultitask)
    known = recommender.features.history
    assert known.labels["finished"].tolist() == tables.interactions["finished"].to_numpy().astype(float).tolist()
    users = np.arange(1, 9, dtype=np.int32)
    nothing = np.zeros(0, np.int32)
    for stage in ("retrieval", "final"):
        lists = recommender.two_stage.lists(users, n=5, stage=stage, exclude=known.seen_items, blocked=nothing)
        assert len(lists) == 40
        assert not known.seen_items.contains(lists.user_num, lists.item_num).any()
    assert 0 < lists.score.min() < lists.score.max() < 1
    assert [answer.rank for answer in recommender.recommend(recommender.users.ids[0].as_py(), 3)] == [1, 2, 3]


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


def test_the_preset_has_one_model() -> None:
    config = load_config("multitask", holdout="last")
    assert isinstance(config.retrieval, MultitaskConfig)
    assert config.retrieval.targets == "next"
    assert config.ranker == MultitaskRankerConfig()
    assert config.label_columns == ()


def test_heads_need_their_towers() -> None:
    with pytest.raises(InputError, match=r"ranker.kind=multitask scores with the model of retrieval.kind=multitask"):
        load_config("default", holdout="random", settings=["ranker.kind=multitask"])


def test_towers_of_the_model_serve_another_ranker() -> None:
    config = load_config("default", holdout="random", settings=["retrieval.kind=multitask"])
    assert PipelineConfig.model_validate(config.model_dump(mode="json")) == config


def test_labels_follow_their_events() -> None:
    table = pa.table({"user_id": [1, 2, 1], "item_id": [5, 5, 6], "liked": [1.0, None, 0.0]})
    history = Interactions.from_table(table, labels=("liked",))
    assert history.select(np.array([2, 1])).labels["liked"].tolist()[0] == 0
    assert history.to_table()["liked"].to_pylist() == [1.0, None, 0.0]
