"""Leakage: nothing that the ranker reads of a fold depends on what the fold holds back.

A fold is looked at twice, the second time with other events held back, and all that is described for the ranker must
be what it was: candidates, features, histories. Deliberate leaks show that the look can fail.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.features import FeatureColumns
from belfry.dataset.folds import Fold, Holdout, make_folds
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.progress import silent
from belfry.pipeline.training.list_trainer import ListRankerTrainer
from belfry.pipeline.training.ranker_trainer import candidates_for
from belfry.pipeline.training.retrieval_stage import FirstStage, Tuning, fit_first_stage
from belfry.pipeline.training.sources import SearchedTowers
from belfry.pipeline.training.train import train
from belfry.ranking.examples import make_examples
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists, concatenate_lists
from belfry.ranking.listwise.feature_ranker import FeaturedRanker
from belfry.retrieval.models.item_knn import ItemKNN
from tests.pipeline.small_world import (
    DAY_S,
    N_EVENTS,
    N_ITEMS,
    N_LATE,
    N_USERS,
    config_of,
    folds_of,
    quick_stage,
    show,
    small_data,
)

HOLDOUTS: tuple[Holdout, ...] = ("time", "last", "random")
StageOf = Callable[[Data, Interactions], FirstStage]
Leak = Callable[[pytest.MonkeyPatch, Data], None]


@pytest.fixture(scope="module")
def data() -> Data:
    return small_data()


# The same history, and other events held back.


def replaced(data: Data, fold: Fold) -> tuple[Data, Fold]:
    """Other items, other ratings, at other times."""
    later = fold.later
    assert later.timestamp_s is not None
    assert later.rating is not None
    other = replace(
        later, item_num=N_ITEMS + 1 - later.item_num, rating=6 - later.rating, timestamp_s=later.timestamp_s + 7 * DAY_S
    )
    return replace(data, interactions=joined(fold.history, other)), Fold(fold.history, other)


def removed(data: Data, fold: Fold) -> tuple[Data, Fold]:
    """Every second event is gone."""
    other = fold.later.select(np.arange(len(fold.later)) % 2 == 0)
    return replace(data, interactions=joined(fold.history, other)), Fold(fold.history, other)


def added(data: Data, fold: Fold) -> tuple[Data, Fold]:
    """Every user watches the newest items too."""
    users = np.arange(1, N_USERS + 1, dtype=np.int32)
    more = joined(
        fold.later, replace(fold.later.select(np.zeros(N_USERS, np.int64)), user_num=users, item_num=30 - users % 9)
    )
    return replace(data, interactions=joined(fold.history, more)), Fold(fold.history, more)


def joined(first: Interactions, second: Interactions) -> Interactions:
    """The events of both."""
    names = ("user_num", "item_num", "timestamp_s", "rating")
    return replace(first, **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names})


# What the ranker is given to read.


def no_leak(patch: pytest.MonkeyPatch, data: Data) -> None:
    pass


def lists_shown(
    data: Data, fold: Fold, holdout: Holdout, *, stage_of: StageOf = quick_stage, leak: Leak = no_leak
) -> Lists:
    """Everything that is described for the ranker, by the code that training runs, before any of it is labelled.

    Of all users: whose lists hold a hit, and so are described in training, is what the fold holds back.
    """
    config = config_of(holdout)
    lists: list[Lists] = []

    def look(described: Lists, *arguments, **options):
        lists.append(described)
        return make_examples(described, *arguments, **options)

    with (
        pytest.MonkeyPatch.context() as patch,
        closing(ListRankerTrainer(data, config, seed=0, progress=silent)) as trainer,
    ):
        patch.setattr("belfry.pipeline.training.list_trainer.make_examples", look)
        patch.setattr(
            ListRankerTrainer,
            "_with_hits",
            lambda _, fold, stage, users, max_lists: candidates_for(
                users, fold, stage, n_candidates=config.n_candidates
            ),
        )
        leak(patch, data)
        show(trainer, fold, stage_of(data, fold.history))
    return concatenate_lists(lists)


def differences(one: Lists, other: Lists) -> set[str]:
    """What is not the same in the lists of the users of both."""
    both, in_one, in_other = np.intersect1d(one.users, other.users, assume_unique=True, return_indices=True)
    assert len(both) >= 10
    one, other = one.select(in_one), other.select(in_other)
    assert one.names == other.names
    if one.starts.tolist() != other.starts.tolist() or one.items.tolist() != other.items.tolist():
        return {"candidates"}
    unlike = {name for name in one.names if not np.array_equal(one.column(name), other.column(name))}
    return unlike | ({"history"} if not np.array_equal(one.history, other.history) else set())


@pytest.mark.parametrize("change", [replaced, removed, added])
@pytest.mark.parametrize("holdout", HOLDOUTS)
def test_what_is_held_back_cannot_be_seen(data: Data, holdout: Holdout, change) -> None:
    for fold in folds_of(data, holdout):
        before = lists_shown(data, fold, holdout)
        after = lists_shown(*change(data, fold), holdout)
        assert differences(before, after) == set()


RECENT_POPULARITY = 'sources=[{model={kind="popularity", half_life_days=14}, quota=10}]'


def trained_stage(data: Data, history: Interactions) -> FirstStage:
    """As training makes it for every fold but the first, which decides on epochs and weights by what it holds back."""
    config = config_of("time", RECENT_POPULARITY)
    tuning = Tuning(config, {"two_tower": 1}, {"two_tower": 1.0, "popularity": 0.5})
    return fit_first_stage(data, history, config, seed=0, tuning=tuning)


def test_nor_by_towers(data: Data) -> None:
    fold = folds_of(data, "time")[1]
    before = lists_shown(data, fold, "time", stage_of=trained_stage)
    after = lists_shown(*replaced(data, fold), "time", stage_of=trained_stage)
    assert differences(before, after) == set()
    leaking = lists_shown(data, fold, "time", stage_of=lambda data, history: trained_stage(data, data.interactions))
    assert differences(before, leaking)


@pytest.mark.parametrize("holdout", HOLDOUTS)
def test_training_hands_each_stage_the_history_of_its_fold(
    data: Data, holdout: Holdout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first may look at what is held back, to tune; the last, which answers, knows everything."""
    handed = []

    def fit(data: Data, history: Interactions, config: PipelineConfig, **options) -> FirstStage:
        handed.append((history, options.get("validate_on")))
        return replace(quick_stage(data, history), sources={"none": SearchedTowers(None, None, None)})

    monkeypatch.setattr("belfry.pipeline.training.train.fit_first_stage", fit)
    monkeypatch.setattr("belfry.pipeline.training.train.measure", lambda stage, **options: None)
    config = config_of(holdout, "ranker.kind=lightgbm", "ranker.trees=5", "ranker.min_rows=5")
    trained = train(data, config, holdout=holdout, seed=0)

    folds = folds_of(data, holdout)
    for (history, _), expected in zip(handed, [*(fold.history for fold in folds), data.interactions], strict=True):
        assert history.user_num.tolist() == expected.user_num.tolist()
        assert history.item_num.tolist() == expected.item_num.tolist()
    first, *others = (validate_on for _, validate_on in handed)
    assert first.later.item_num.tolist() == folds[0].later.item_num.tolist()
    assert others == [None] * len(folds)
    assert isinstance(trained.ranker, FeaturedRanker)
    counts = trained.ranker.pair_features.arrays["times/count"][:, -1]
    assert counts.tolist() == np.bincount(data.interactions.item_num, minlength=N_ITEMS + 1).tolist()


# Deliberate leaks: the check above sees each of them.


def features_of_all_events(patch: pytest.MonkeyPatch, data: Data) -> None:
    fit = PairFeatures.fit
    patch.setattr(PairFeatures, "fit", lambda features, *rest: fit(data.features(data.interactions), *rest))


def candidates_of_all_events(patch: pytest.MonkeyPatch, data: Data) -> None:
    fit = ItemKNN.fit
    patch.setattr(
        ItemKNN, "fit", lambda self, history, features, *, seed: fit(self, data.interactions, features, seed=seed)
    )


def history_of_all_events(patch: pytest.MonkeyPatch, data: Data) -> None:
    describe = Lists.describe
    patch.setattr(
        Lists,
        "describe",
        lambda candidates, pairs, names, history: describe(candidates, pairs, names, data.interactions),
    )


@pytest.mark.parametrize("holdout", HOLDOUTS)
@pytest.mark.parametrize(
    ("leak", "seen"),
    [
        (
            features_of_all_events,
            {
                "popularity",
                "item_rating",
                "segment.group",
                "near_4",
                "cosine_recency",
                "bm25_uniform",
                "rules_half_life_2",
                "next_newest",
                "ease_uniform",
            },
        ),
        (candidates_of_all_events, {"candidates"}),
        (history_of_all_events, {"history"}),
    ],
)
def test_a_leak_would_be_seen(data: Data, holdout: Holdout, leak: Leak, seen: set[str]) -> None:
    fold = folds_of(data, holdout)[0]
    before = lists_shown(data, fold, holdout, leak=leak)
    after = lists_shown(*replaced(data, fold), holdout, leak=leak)
    assert seen <= differences(before, after)


# Windows of time.


def test_the_history_of_a_window_ends_before_it_starts(data: Data) -> None:
    shown = data.interactions.select(np.arange(0, N_EVENTS, 3)).to_table()
    ids = {"users": data.interactions.users, "items": data.interactions.items}
    events = Interactions.from_table(data.interactions.to_table(), **ids, impressions=shown)
    for fold in make_folds(events, "time", n_folds=3, seed=0):
        assert fold.later.timestamp_s is not None
        start_s = fold.later.timestamp_s.min()
        stage = quick_stage(data, fold.history)
        arrays = PairFeatures.fit(stage.features, config_of("time").pair_features).arrays
        assert stage.features.now_s < start_s
        assert arrays["times/start_s"] + arrays["times/edge"].max() < start_s
        assert arrays["times/total"][-1] == len(fold.history)
        assert arrays["times/start_s"] + arrays["times/first"].max() < start_s
        assert fold.history.impressions is not None
        assert fold.history.impressions.time_s is not None
        assert fold.history.impressions.time_s.max() < start_s


# Hot columns, which use has made.


def hot_values(columns: FeatureColumns, name: str) -> np.ndarray:
    """[n + 1, 2] what is known of each user or item by a column that use has made."""
    return np.stack([columns.numeric[name], columns.categorical[f"{name}_bucket"]], axis=1)


@pytest.mark.parametrize(("side", "name", "cold"), [("items", "n_plays", "year"), ("users", "n_visits", "age")])
def test_usage_columns_are_hidden_where_the_history_has_no_events(data: Data, side: str, name: str, cold: str) -> None:
    """Of items that only the held-back events hold, and of a user who had not come yet."""
    late = {"items": np.arange(N_ITEMS - N_LATE + 1, N_ITEMS + 1), "users": np.array([1])}[side]
    for fold in folds_of(data, "time"):
        history = fold.history.select(fold.history.user_num != 1)
        assert not np.isin(late, {"items": history.item_num, "users": history.user_num}[side]).any()
        columns = getattr(data.features(history), side)
        values = hot_values(columns, name)
        assert not values[late].any()
        assert np.delete(values, late, axis=0).any()
        assert columns.numeric[cold][late].all()
        plain = replace(data, **{side: replace(getattr(data, side), usage=frozenset())})
        assert hot_values(getattr(plain.features(history), side), name)[late].any(axis=1).all()
