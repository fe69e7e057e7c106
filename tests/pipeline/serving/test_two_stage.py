"""TwoStage: the one way from users to lists, in training form and in serving form."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import Numbers
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.results import COLD, UNRANKED
from belfry.pipeline.serving.two_stage import Stage, TwoStage
from belfry.ranking.base import Scores

NOBODY = np.zeros(0, np.int32)
STAGES: tuple[Stage, ...] = ("final", "retrieval")


class Constant:
    """A ranker to which all candidates are alike."""

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        return np.zeros(len(candidates), np.float32)


@pytest.fixture(scope="module")
def served(tiny_run: Path) -> TwoStage:
    return Recommender.load(tiny_run).two_stage


@pytest.fixture(scope="module")
def everybody(served: TwoStage) -> Numbers:
    """The unknown user, and all that are known, in no order."""
    return np.random.default_rng(0).permutation(len(served.features.history.users) + 1).astype(np.int32)


def lists_of(
    stages: TwoStage,
    users: Numbers,
    *,
    n: int = 10,
    stage: Stage = "final",
    blocked: Numbers = NOBODY,
    only: Numbers | None = None,
) -> Candidates:
    seen = stages.features.history.seen_items
    return stages.lists(users, stage, n=n, exclude=seen, blocked=blocked, only=only)


def assert_same_lists(one: Candidates, other: Candidates, *, atol: float = 1e-4) -> None:
    assert one.users.tolist() == other.users.tolist()
    assert one.row_user.tolist() == other.row_user.tolist()
    assert one.item_num.tolist() == other.item_num.tolist()
    assert one.rank.tolist() == other.rank.tolist()
    np.testing.assert_allclose(one.score, other.score, atol=atol)
    assert [one.origins[place] for place in one.origin] == [other.origins[place] for place in other.origin]


def list_at(lists: Candidates, place: int) -> list[int]:
    return [int(item) for item in lists.item_num[slice(*lists.starts[place : place + 2])]]


@pytest.mark.parametrize("n", [10, 100])
@pytest.mark.parametrize("stage", STAGES)
def test_both_forms_give_the_same_lists(
    tiny_stages: TwoStage, served: TwoStage, everybody: Numbers, stage: Stage, n: int
) -> None:
    assert tiny_stages.ranker is not None
    assert served.ranker is not None
    trained_form, serving_form = (lists_of(stages, everybody, n=n, stage=stage) for stages in (tiny_stages, served))
    assert_same_lists(trained_form, serving_form)
    assert len(serving_form) > 100


@pytest.mark.parametrize("only", [None, np.arange(1, 60, 2, dtype=np.int32)])
def test_both_forms_agree_on_what_may_be_chosen(
    tiny_stages: TwoStage, served: TwoStage, everybody: Numbers, only: Numbers | None
) -> None:
    blocked = np.array([3, 4, 5], np.int32)
    assert_same_lists(
        lists_of(tiny_stages, everybody, blocked=blocked, only=only),
        lists_of(served, everybody, blocked=blocked, only=only),
    )


def test_both_forms_of_the_towers_agree(tiny_stages: TwoStage, served: TwoStage, everybody: Numbers) -> None:
    np.testing.assert_allclose(
        served.towers.encode_queries(everybody, served.features),
        tiny_stages.towers.encode_queries(everybody, tiny_stages.features),
        atol=1e-5,
    )
    np.testing.assert_array_equal(served.vectors, tiny_stages.vectors)


def test_the_ranker_orders_what_retrieval_brings(served: TwoStage, everybody: Numbers) -> None:
    known = everybody[served.features.history.seen_items.count(everybody) > 0]
    assert served.ranker is not None
    brought = served.retriever.retrieve(
        known, served.features, top_k=served.n_candidates, exclude=served.features.history.seen_items
    )
    assert set(brought.origin) == {0, 1}  # the towers did not bring them alone
    score = served.ranker.score(brought, served.features)
    expected = take_top_k(known, brought.row_user, brought.item_num, score, top_k=10, origin="any")
    final = lists_of(served, known)
    assert final.item_num.tolist() == expected.item_num.tolist()
    assert final.item_num.tolist() != lists_of(served, known, stage="retrieval").item_num.tolist()


def test_without_a_ranker_final_is_retrievals_order(served: TwoStage, everybody: Numbers) -> None:
    closed = replace(served, ranker=None)
    retrieval = lists_of(served, everybody, stage="retrieval")
    assert_same_lists(lists_of(closed, everybody, stage="final"), retrieval, atol=0)
    assert_same_lists(lists_of(closed, everybody, stage="retrieval"), retrieval, atol=0)


def test_equal_scores_go_by_the_item(served: TwoStage, everybody: Numbers) -> None:
    lists = lists_of(replace(served, ranker=Constant()), everybody, n=30)
    is_known = served.features.history.seen_items.count(everybody) > 0
    for place in np.flatnonzero(is_known):
        items = list_at(lists, place)
        assert items == sorted(items)


def test_cold_users_are_told_apart(served: TwoStage, everybody: Numbers) -> None:
    """Users whom nobody has seen watch, among them the unknown one, are answered by popularity at both stages."""
    lists = lists_of(served, everybody)
    is_cold = served.features.history.seen_items.count(everybody) == 0
    assert 1 < is_cold.sum() < len(everybody)
    of_cold = is_cold[lists.row_user]
    names = np.array(lists.origins)[lists.origin]
    assert (names[of_cold] == COLD).all()
    assert not (names[~of_cold] == COLD).any()
    retrieval = lists_of(served, everybody, stage="retrieval")
    for place in np.flatnonzero(is_cold):
        assert list_at(lists, place) == list_at(retrieval, place)


@pytest.mark.parametrize("kind", ["known", "cold"])
@pytest.mark.parametrize("stage", STAGES)
def test_users_of_one_kind_alone_get_their_lists_of_the_mixture(
    served: TwoStage, everybody: Numbers, kind: str, stage: Stage
) -> None:
    places = np.flatnonzero((served.features.history.seen_items.count(everybody) == 0) == (kind == "cold"))
    mixture = lists_of(served, everybody, stage=stage)
    alone = lists_of(served, everybody[places], stage=stage)
    for position, place in enumerate(places):
        assert list_at(alone, position) == list_at(mixture, place)


@pytest.mark.parametrize("stage", STAGES)
def test_one_user_equals_their_row_in_a_batch(served: TwoStage, everybody: Numbers, stage: Stage) -> None:
    batch = lists_of(served, everybody, stage=stage)
    for place, user in enumerate(everybody):
        assert list_at(lists_of(served, np.array([user], np.int32), stage=stage), 0) == list_at(batch, place)


@pytest.mark.parametrize("stage", STAGES)
def test_blocking_moves_the_rest_up(served: TwoStage, everybody: Numbers, stage: Stage) -> None:
    """At retrieval others keep their order, and as many come as before; so with cold users at any stage."""
    plain = lists_of(served, everybody, n=20, stage=stage)
    blocked = np.unique(plain.item_num[plain.rank <= 2]).astype(np.int32)[:15]
    lists = lists_of(served, everybody, n=20, stage=stage, blocked=blocked)
    assert not np.isin(lists.item_num, blocked).any()
    n_unseen = len(served.features.history.items) - served.features.history.seen_items.count(everybody)
    for place in range(len(everybody)):
        kept = [item for item in list_at(plain, place) if item not in blocked]
        if stage == "retrieval":
            assert list_at(lists, place)[: len(kept)] == kept
        if n_unseen[place] >= 20 + len(blocked):
            assert len(list_at(lists, place)) == 20


@pytest.mark.parametrize("stage", STAGES)
def test_choosing_from_some(served: TwoStage, everybody: Numbers, stage: Stage) -> None:
    only = np.array([7, 9, 9, 50, 3], np.int32)
    lists = lists_of(served, everybody, stage=stage, only=only)
    for place, user in enumerate(everybody):
        unseen = {3, 7, 9, 50} - set(served.features.history.seen_items.of(user).tolist())
        assert set(list_at(lists, place)) == unseen
        assert len(list_at(lists, place)) == len(unseen)
    assert len(lists_of(served, everybody, stage=stage, only=NOBODY)) == 0


@pytest.mark.parametrize("stage", STAGES)
def test_who_may_have_nothing_gets_nothing(served: TwoStage, stage: Stage) -> None:
    n_users, n_items = len(served.features.history.users), len(served.features.history.items)
    all_seen = SeenItems(
        np.append(0, np.arange(n_users + 1) * n_items).astype(np.int64), np.tile(np.arange(1, n_items + 1), n_users)
    )
    users = np.arange(1, n_users + 1, dtype=np.int32)
    lists = served.lists(users, stage, n=10, exclude=all_seen, blocked=NOBODY)
    assert len(lists) == 0
    assert lists.starts.tolist() == [0] * (n_users + 1)


def test_nobody_asked(served: TwoStage) -> None:
    assert len(lists_of(served, NOBODY)) == 0


def cold_users(stages: TwoStage) -> Numbers:
    users = np.arange(len(stages.features.history.users) + 1, dtype=np.int32)
    return users[stages.features.history.seen_items.count(users) == 0]


def test_towers_add_to_the_scores_of_cold_users_by_their_weight(served: TwoStage) -> None:
    users = cold_users(served)
    plain, loud = (lists_of(replace(served, cold_weight=weight), users) for weight in (0.0, 1e6))
    popular = served.popularity.retrieve(users, served.features, top_k=10, exclude=served.features.history.seen_items)
    assert plain.item_num.tolist() == popular.item_num.tolist()
    assert loud.item_num.tolist() != plain.item_num.tolist()
    logits = served.towers.encode_queries(users, served.features) @ served.vectors.T
    for row in range(len(users)):
        best = np.argsort(-logits[row, 1:])[:10] + 1
        assert set(loud.item_num[loud.row_user == row]) == set(best)


def test_a_cold_list_begins_alike_however_long(served: TwoStage) -> None:
    users = cold_users(served)
    short, long = (lists_of(served, users, n=n) for n in (5, 60))
    assert short.item_num.tolist() == long.item_num[long.rank <= 5].tolist()


def test_long_lists_begin_as_short_ones_and_end_unranked(served: TwoStage, everybody: Numbers) -> None:
    """The ranker is handed the depth that it has learned to order."""
    shallow = replace(served, n_candidates=12)
    known = everybody[served.features.history.seen_items.count(everybody) > 0]
    blocked = np.array([3], np.int32)
    short, long, retrieval = (
        lists_of(shallow, known, n=n, stage=stage, blocked=blocked)
        for n, stage in ((8, "final"), (40, "final"), (40, "retrieval"))
    )
    for place, user in enumerate(known):
        items, brought = list_at(long, place), list_at(retrieval, place)
        n_ranked = 12 if is_brought(shallow, user, 3, top_k=13) else 13
        assert items[:8] == list_at(short, place)
        assert sorted(items[:n_ranked]) == sorted(brought[:n_ranked])
        assert items[n_ranked:] == brought[n_ranked:]
        rows = slice(*long.starts[place : place + 2])
        scores, origins = long.score[rows], np.array(long.origins)[long.origin[rows]]
        assert (np.diff(scores) <= 0).all()
        assert (scores[:n_ranked] >= 0).all()
        assert (scores[n_ranked:] <= -n_ranked).all()
        assert (np.diff(scores[n_ranked:]) < 0).all()
        assert (origins == UNRANKED).tolist() == [False] * n_ranked + [True] * (len(items) - n_ranked)


def is_brought(stages: TwoStage, user: int, item: int, *, top_k: int) -> bool:
    """Whether retrieval lists `item` among the first `top_k`."""
    users, seen = np.array([user], np.int32), stages.features.history.seen_items
    return item in stages.retriever.retrieve(users, stages.features, top_k=top_k, exclude=seen).item_num


def test_the_score_of_an_unranked_item_is_minus_its_place_in_retrievals_order(
    served: TwoStage, everybody: Numbers
) -> None:
    shallow = replace(served, n_candidates=12)
    known = everybody[served.features.history.seen_items.count(everybody) > 0]
    lists = lists_of(shallow, known, n=30)
    unranked = lists.origin == lists.origins.index(UNRANKED)
    assert unranked.sum() == 18 * len(known)
    assert lists.score[unranked].tolist() == (-lists.rank[unranked]).tolist()


def test_a_ranker_that_gives_nothing_to_any_row_still_stands_above_the_unranked(
    served: TwoStage, everybody: Numbers
) -> None:
    """Zero is the lowest probability."""
    shallow = replace(served, n_candidates=12, ranker=Constant())
    known = everybody[served.features.history.seen_items.count(everybody) > 0]
    lists = lists_of(shallow, known, n=30)
    assert (lists.score[lists.rank <= 12] == 0).all()
    assert (lists.score[lists.rank > 12] < 0).all()


@pytest.mark.parametrize("change", [{"stage": "retrieval"}, {"ranker": None}])
def test_without_a_ranker_nothing_is_called_unranked(
    served: TwoStage, everybody: Numbers, change: dict[str, object]
) -> None:
    shallow = replace(served, n_candidates=12, ranker=change.get("ranker", served.ranker))
    stage: Stage = "retrieval" if "stage" in change else "final"
    assert UNRANKED not in lists_of(shallow, everybody, n=40, stage=stage).origins
