"""ListRankerTrainer: who teaches and who validates, and the ranker in both forms."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Fold
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.similarity import truncated_svd
from belfry.dataset.tables import Tables
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import ranker_kind
from belfry.pipeline.progress import silent
from belfry.pipeline.training.list_trainer import ListRankerTrainer
from belfry.pipeline.training.trainer_registry import make_trainer
from belfry.ranking.base import Matrix, SavedRanker, Scores
from belfry.ranking.example_store import write_examples
from belfry.ranking.examples import Examples, concatenate
from belfry.ranking.features.pair_features import PairFeatures
from tests.pipeline.small_world import config_of, folds_of, quick_stage, show, small_data

TREES = ("ranker.kind=lightgbm", "ranker.trees=20", "ranker.min_rows=2", "ranker.leaves=16")
NETWORK = (
    *("ranker.kind=wide_deep", "ranker.widths=[8]", "ranker.embedding_size=2"),
    *("ranker.epochs=2", "ranker.min_steps=1", "ranker.members=2"),
)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data() -> Data:
    return small_data()


@contextmanager
def trainer_of(data: Data, config: PipelineConfig) -> Iterator[ListRankerTrainer]:
    """That has seen three random folds."""
    with closing(ListRankerTrainer(data, config, seed=0, progress=silent)) as trainer:
        folds = folds_of(data, "random")
        for fold in folds[: trainer.n_folds(folds[0])]:
            show(trainer, fold, quick_stage(data, fold.history))
        yield trainer


def parts_of(data: Data, *settings: str) -> tuple[Examples, Examples]:
    """(to learn from, to validate on)."""
    with trainer_of(data, config_of("random", *settings)) as trainer:
        assert trainer.validation is not None
        return concatenate(list(trainer.learned.blocks(np.random.default_rng(0)))), trainer.validation


# Examples.


def test_newcomers_neither_teach_the_ranker_nor_validate_it(data: Data) -> None:
    """They come behind the cut of a fold in time, after some first watches."""
    events = data.interactions
    assert events.timestamp_s is not None
    is_early = (events.user_num % 4 == 0) & (events.timestamp_s < np.quantile(events.timestamp_s, 0.58))
    coming = replace(data, interactions=events.select(~is_early))  # a quarter of the users come late
    with closing(ListRankerTrainer(coming, config_of("time"), seed=0, progress=silent)) as trainer:
        fold = folds_of(coming, "time")[-1]
        stage = quick_stage(coming, fold.history)
        observed = list(trainer.observe(fold, stage, n_folds=3))
    newcomers = [one.examples for one in observed if one.are_newcomers]
    others = concatenate([one.examples for one in observed if not one.are_newcomers])
    assert newcomers
    users = concatenate(newcomers).lists.users
    assert (users % 4 == 0).all()
    assert not np.isin(users, fold.users).any()
    assert not np.isin(users, others.lists.users).any()
    lengths = np.expm1(concatenate(newcomers).lists.column("history_length"))
    assert lengths.min() > 0.5
    assert lengths.max() < 11


def test_no_user_both_teaches_and_validates(data: Data) -> None:
    learned, validation = parts_of(data, "ranker.validation_share=0.25")
    assert len(np.unique(validation.lists.users)) == 10
    assert len(np.unique(learned.lists.users)) == 30
    assert not np.isin(learned.lists.users, validation.lists.users).any()
    assert len(learned) > 60  # most users in each of three folds


def test_the_lists_to_learn_from_are_counted_over_all_folds(data: Data) -> None:
    everybody, validating = parts_of(data)
    some, same_validating = parts_of(data, "max_lists=81")  # for which three folds are needed
    assert len(some) <= 81 < len(everybody)
    assert len(same_validating) == len(validating)


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_of_what_was_not_shown_a_share_is_learned_from(data: Data, share: float) -> None:
    """And validated on in whole lists, but where nothing of it is learned from."""
    generator = np.random.default_rng(0)
    pairs = {"user_id": generator.integers(1, 41, 900), "item_id": generator.integers(1, 31, 900)}
    ids = {"users": data.interactions.users, "items": data.interactions.items}
    impressions = Interactions.from_table(data.interactions.to_table(), **ids, impressions=pa.table(pairs)).impressions
    logged = replace(data, interactions=replace(data.interactions, impressions=impressions))
    learned, validation = parts_of(logged, f"ranker.unshown_share={share}", "n_candidates=12")
    for examples, is_whole in ((learned, share == 1), (validation, share > 0)):
        assert (examples.lists.lengths == 12).all() == is_whole
        assert (np.bincount(examples.lists.row_list, examples.labels) > 0).all()
    n_shown = learned.lists.lengths - 1
    assert share > 0 or 0 < n_shown.mean() < 6
    assert "watched_if_shown" in learned.names


def test_only_lists_that_hold_something_watched_later_are_described(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each user with such a list is, and is an example: they all hold a negative too."""
    fold = folds_of(data, "random")[0]
    stage = quick_stage(data, fold.history)
    described = []
    matrix = PairFeatures.matrix

    def spied(pair_features: PairFeatures, candidates: Candidates, features: FeatureTables) -> Matrix:
        described.append(candidates)
        return matrix(pair_features, candidates, features)

    monkeypatch.setattr(PairFeatures, "matrix", spied)
    with closing(ListRankerTrainer(data, config_of("random"), seed=0, progress=silent)) as trainer:
        show(trainer, fold, stage)
        n_examples = len(trainer.learned) + len(trainer.validation or ())
    later, expected = fold.later.seen_items, []
    for user in fold.users.tolist():
        found = stage.retriever.retrieve(
            np.array([user], np.int32), stage.features, top_k=12, exclude=fold.history.seen_items
        )
        if np.isin(found.item_num, later.of(user)).any():
            expected.append(user)
    users = np.concatenate([candidates.users for candidates in described])
    assert sorted(users.tolist()) == expected
    assert 0 < len(expected) == n_examples < len(fold.users)


def ring(n_users: int) -> Data:
    """24 items in a ring: each user watches six one after another, from an item on that none of the first 24 shares."""
    users, steps = np.divmod(np.arange(6 * n_users), 6)
    table = pa.table({"user_id": users + 1, "item_id": (users + steps) % 24 + 1, "timestamp_s": steps * 24 + users})
    return prepare(Tables(table))


def test_a_fold_of_fewer_singular_vectors_than_everything_has_makes_no_other_columns() -> None:
    """Twelve users of a fold span twelve of them, all users 24, and the ranker orders the lists of all."""
    data = ring(48)
    events = data.interactions
    steps = np.arange(len(events)) % 6
    is_early = events.user_num <= 12
    fold = Fold(events.select(is_early & (steps < 4)), events.select(is_early & (steps >= 4)))
    config = config_of("time", *TREES, "ranker.validation_share=0.3")
    early = replace(data, interactions=events.select(is_early))
    with closing(ListRankerTrainer(early, config, seed=0, progress=silent)) as trainer:
        show(trainer, fold, quick_stage(data, fold.history))
        ranker_of, _ = trainer.finish()
    assert ranker_of is not None
    stage = quick_stage(data, events)
    ranks = [
        truncated_svd(history.matrix, max(config.pair_features.svd_sizes))[1].shape[1]
        for history in (fold.history, events)
    ]
    assert ranks[0] < 16 < ranks[1]
    candidates = stage.retriever.retrieve(
        np.arange(1, 49, dtype=np.int32), stage.features, top_k=12, exclude=events.seen_items
    )
    assert np.isfinite(ranker_of(stage).score(candidates, stage.features)).all()


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


def test_too_little_to_learn_from_closes_the_gate(data: Data) -> None:
    """One user alone: nobody else has watched anything to propose."""
    alone = replace(data, interactions=data.interactions.select(data.interactions.user_num == 1))
    with trainer_of(alone, config_of("random", *TREES)) as trainer:
        ranker_of, gate = trainer.finish()
    assert ranker_of is None
    assert not gate.is_open
    assert gate.reason == "retrieval brought too few later events to learn from"


def test_a_missing_library_is_named_before_any_training(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(InputError, match=r"ranker kind 'lightgbm' needs LightGBM; run: pip install"):
        make_trainer(data, config_of("random", *TREES), seed=0, progress=silent)


# Both forms.


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
from belfry.pipeline.kinds import ranker_kind
from belfry.ranking.base import SavedRanker
from belfry.ranking.example_store import read_examples

folder = Path(sys.argv[1])
config = PipelineConfig.model_validate_json((folder / "config.json").read_text())
saved = SavedRanker(folder / "ranker", config.ranker, config.pair_features)
ranker = ranker_kind(config.ranker).load(saved)
scores = ranker.score_lists(read_examples(folder / "examples").lists)
np.testing.assert_allclose(scores, np.load(folder / "scores.npy"), atol=1e-5)
"""


@pytest.mark.parametrize("settings", [TREES, NETWORK], ids=["trees", "network"])
def test_an_exported_ranker_answers_alike_and_without_tensorflow(
    data: Data, settings: tuple[str, ...], tmp_path: Path
) -> None:
    config = config_of("random", *settings)
    assert config.ranker is not None
    stage = quick_stage(data, data.interactions)
    with trainer_of(data, config) as trainer:
        ranker_of, _ = trainer.finish()
    assert ranker_of is not None
    before = ranker_of(stage)
    before.export(tmp_path / "ranker")
    users = np.arange(41, dtype=np.int32)
    candidates = stage.retriever.retrieve(users, stage.features, top_k=12, exclude=stage.features.history.seen_items)
    saved = SavedRanker(tmp_path / "ranker", config.ranker, config.pair_features)
    after = ranker_kind(config.ranker).load(saved)
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
