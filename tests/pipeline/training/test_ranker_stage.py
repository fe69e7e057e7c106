"""The second stage in training: whose lists teach and whose judge, the gate, and the files of a run."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.serving.ranker_files import load_featured
from belfry.pipeline.training.files import save_featured
from belfry.pipeline.training.ranker_stage import ExampleCollector, Gate, SecondStage, train_ranker
from belfry.ranking.base import Scores
from belfry.ranking.example_store import ExampleStore, write_examples
from belfry.ranking.examples import Examples, concatenate
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.listwise.score_blend import RETRIEVAL
from tests.contracts.ranker import VALIDATION
from tests.pipeline.small_world import config_of, folds_of, quick_stage, small_data

TREES = ("ranker.kind=lightgbm", "ranker.trees=20", "ranker.min_rows=5", "ranker.leaves=4")
NETWORK = (
    *("ranker.kind=wide_deep", "ranker.widths=[8]", "ranker.embedding_size=2"),
    *("ranker.epochs=2", "ranker.min_steps=1", "ranker.members=2"),
)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data() -> Data:
    return small_data()


def collected(data: Data, config: PipelineConfig, store: ExampleStore) -> ExampleCollector:
    """The lists of three random folds."""
    assert config.ranker is not None
    folds = folds_of(data, "random")
    collector = ExampleCollector(data, config, config.ranker, store, n_folds=len(folds), seed=0)
    for fold in folds:
        collector.add(fold, quick_stage(data, fold.history))
    return collector


def parts_of(data: Data, *settings: str) -> tuple[Examples, Examples]:
    """(to learn from, to validate on)."""
    with ExampleStore(limit_bytes=1 << 30) as store:
        collector = collected(data, config_of("random", *settings), store)
        assert collector.validation is not None
        return concatenate(list(store.blocks(np.random.default_rng(0)))), collector.validation


# Examples.


def test_no_user_both_teaches_and_judges(data: Data) -> None:
    learned, validation = parts_of(data, "ranker.validation_share=0.25")
    assert len(np.unique(validation.lists.users)) == 10
    assert len(np.unique(learned.lists.users)) == 30
    assert not np.isin(learned.lists.users, validation.lists.users).any()
    assert len(learned) > 60  # most users in each of three folds


def test_the_lists_to_learn_from_are_counted_over_all_folds(data: Data) -> None:
    everybody, judges = parts_of(data)
    some, same_judges = parts_of(data, "max_lists=30")
    assert len(some) <= 30 < len(everybody)
    assert len(same_judges) == len(judges)


def test_labels_are_those_of_the_config(data: Data) -> None:
    watched, liked, rated = (
        np.concatenate([part.labels for part in parts_of(data, *settings)])
        for settings in ((), ("ranker.label=liked", "ranker.liked_from=5"), ("ranker.label=rating",))
    )
    assert set(np.unique(watched)) == {0, 1}
    assert set(np.unique(liked)) == {0, 1}
    assert 0 < (liked > 0).sum() < 0.5 * (watched > 0).sum()
    np.testing.assert_allclose(np.unique(rated), [0, 0.2, 0.4, 0.6, 0.8, 1])


@pytest.mark.parametrize("n_rated", [1, 150, 400])
def test_ratings_of_late_make_no_fold_and_no_answer_another(data: Data, n_rated: int) -> None:
    """The features are those of the table, though only its newest events are rated."""
    assert data.interactions.rating is not None
    rating = data.interactions.rating.copy()
    rating[:-n_rated] = np.nan
    late = replace(data, interactions=replace(data.interactions, rating=rating))
    config = config_of("time").pair_features
    histories = [*(fold.history for fold in folds_of(late, "time")), late.interactions]
    is_rated = [history.rating is not None and bool(np.isfinite(history.rating).any()) for history in histories]
    assert is_rated[-1]
    assert n_rated == 400 or not all(is_rated)
    tables = [late.features(history) for history in histories]
    assert len({PairFeatures.fit(features, config).names(features) for features in tables}) == 1


# The gate.


def test_the_gate_opens_for_a_better_order_only() -> None:
    lists = replace(VALIDATION.lists, names=(RETRIEVAL, *VALIDATION.lists.names[1:]))  # retrieval's order is noise
    validation = replace(VALIDATION, lists=lists)
    better = Gate.judge(validation, lists.column("signal"), seed=0)
    assert better.is_open
    assert better.ranker_ndcg == 1
    assert better.retrieval_ndcg == pytest.approx(validation.ndcg(lists.column(RETRIEVAL)).mean())
    assert better.n_lists == 20
    assert better.difference is not None
    assert better.difference.low > 0
    assert "is better than retrieval's order on validation users" in better.reason
    for scores in (lists.column(RETRIEVAL), -lists.column("signal")):  # the same is not better
        gate = Gate.judge(validation, scores, seed=0)
        assert not gate.is_open
        assert "is no better than retrieval's order" in gate.reason


def test_a_tolerant_gate_opens_for_what_is_not_clearly_worse() -> None:
    """One list in twenty loses its order: a standard error below, or less."""
    lists = replace(VALIDATION.lists, names=("noise", RETRIEVAL))  # retrieval's order is the best there is
    validation = replace(VALIDATION, lists=lists)
    scores = lists.column(RETRIEVAL).copy()
    scores[lists.row_list == 0] *= -1
    loss = (validation.ndcg(lists.column(RETRIEVAL)) - validation.ndcg(scores)).mean()
    strict, tolerant = (Gate.judge(validation, scores, seed=0, tolerance=tolerance) for tolerance in (0, 1.2))
    assert (strict.is_open, tolerant.is_open) == (False, True)
    assert "is not clearly worse than retrieval's order" in tolerant.reason
    assert tolerant.difference.mean == pytest.approx(-loss)
    assert not Gate.judge(validation, -lists.column(RETRIEVAL), seed=0, tolerance=1.2).is_open
    assert not Gate.judge(validation, lists.column(RETRIEVAL), seed=0, tolerance=1.2).is_open  # the same is no better


def test_too_little_to_learn_from_closes_the_gate(data: Data) -> None:
    """One user alone: nobody else has watched anything to propose."""
    alone = replace(data, interactions=data.interactions.select(data.interactions.user_num == 1))
    config = config_of("random", *TREES)
    assert config.ranker is not None
    with ExampleStore(limit_bytes=1 << 30) as store:
        examples = collected(alone, config, store)
        second, gate = train_ranker(examples, config.ranker, alone, seed=0, progress=lambda *_: None)
    assert second is None
    assert not gate.is_open
    assert gate.reason == "retrieval brought too few later events to learn from"


# Files of a run.


def trained(data: Data, config: PipelineConfig) -> SecondStage:
    assert config.ranker is not None
    with ExampleStore(limit_bytes=1 << 30) as store:
        second, _ = train_ranker(collected(data, config, store), config.ranker, data, seed=0, progress=lambda *_: None)
    assert second is not None
    return second


ANSWER = """
import sys
from pathlib import Path

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tf_keras", "keras", "tensorflow_recommenders", "tf2onnx"):
            raise AssertionError(f"{name} is imported")

sys.meta_path.insert(0, Refuse())
import numpy as np
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.serving.ranker_files import load_featured
from belfry.ranking.example_store import read_examples

folder = Path(sys.argv[1])
config = PipelineConfig.model_validate_json((folder / "config.json").read_text())
ranker = load_featured(folder / "ranker", config)
scores = ranker.score_lists(read_examples(folder / "examples").lists)
np.testing.assert_allclose(scores, np.load(folder / "scores.npy"), atol=1e-5)
"""


@pytest.mark.parametrize("settings", [TREES, NETWORK], ids=["trees", "network"])
def test_a_saved_second_stage_answers_alike_and_without_tensorflow(
    data: Data, settings: tuple[str, ...], tmp_path: Path
) -> None:
    config = config_of("random", *settings)
    second = trained(data, config)
    stage = quick_stage(data, data.interactions)
    pair_features = PairFeatures.fit(stage.features, config.pair_features)
    save_featured(second, pair_features, tmp_path / "ranker")
    users = np.arange(41, dtype=np.int32)
    candidates = stage.retriever.retrieve(users, stage.features, top_k=12, exclude=stage.features.history.seen_items)
    before, after = second.after(config.pair_features, stage), load_featured(tmp_path / "ranker", config)
    scores: Scores = before.score(candidates, stage.features)
    np.testing.assert_allclose(after.score(candidates, stage.features), scores, atol=1e-5)
    assert len(np.unique(scores)) > 100

    lists = before.describe(candidates, stage.features)
    write_examples(Examples(lists, scores, np.ones(len(lists), np.int64)), tmp_path / "examples")
    np.save(tmp_path / "scores.npy", scores)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    command = [sys.executable, "-W", "error", "-c", ANSWER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
