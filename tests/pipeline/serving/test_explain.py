"""Reasons of a list: for known users, cold ones, session users, and where no ranker orders the lists."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry import Explanation, Recommendation, Recommender, recommend
from belfry.dataset.vocabulary import Id, UserNums
from belfry.pipeline.serving.explain import N_NAMED
from belfry.pipeline.serving.two_stage import Described, DescribingRanker, Limits
from belfry.ranking.explain import Effects, occlude

STRANGER = 99


@pytest.fixture(scope="module")
def recommender(tiny_run: Path) -> Recommender:
    return Recommender.load(tiny_run)


@pytest.fixture(scope="module")
def closed(tiny_run: Path) -> Recommender:
    """The same run, its gate closed."""
    parts = Recommender.load(tiny_run).parts
    return Recommender(replace(parts, two_stage=replace(parts.two_stage, ranker=None)))


@pytest.fixture(scope="module")
def known(recommender: Recommender) -> list[Id]:
    counts = np.diff(recommender.features.history.by_user.starts)
    users: list[Id] = recommender.users.take(np.argsort(-counts)[:5]).to_pylist()
    return users


@pytest.fixture(scope="module")
def cold(recommender: Recommender) -> Id:
    numbers = np.arange(1, len(recommender.users) + 1)
    user: Id = recommender.users.take(
        numbers[recommender.features.history.seen_items.count(numbers) == 0][:1]
    ).to_pylist()[0]
    return user


def reasons_of(results: list[Recommendation]) -> list[Explanation]:
    return [result.because for result in results if result.because is not None]


def assert_well_formed(results: list[Recommendation], watched: set[Id]) -> None:
    """Every place has a reason, strongest first; what is said to be watched is, and does not speak for itself."""
    reasons = reasons_of(results)
    assert len(reasons) == len(results)
    for result, because in zip(results, reasons, strict=True):
        assert len(because.watched) <= N_NAMED
        assert len(because.features) <= N_NAMED
        shares = [found.share for found in because.watched]
        assert shares == sorted(shares, reverse=True)
        assert all(share > 0 for share in shares)
        assert sum(shares) <= 1 + 1e-6
        assert {found.item_id for found in because.watched} <= watched - {result.item_id}
        changes = [abs(effect.change) for effect in because.features]
        assert changes == sorted(changes, reverse=True)
        assert len({effect.feature for effect in because.features}) == len(changes)


def seen_by(recommender: Recommender, user: Id) -> set[Id]:
    numbers = recommender.features.history.seen_items.of(recommender.users.number(user))
    return set(recommender.items.take(numbers).to_pylist())


@pytest.mark.parametrize("n", [1, 10, 70])
def test_known_users(recommender: Recommender, known: list[Id], n: int) -> None:
    for user in known:
        results = recommender.recommend(user, n, explain=True)
        assert_well_formed(results, seen_by(recommender, user))
        assert all(because.watched and because.features for because in reasons_of(results[:10]))


def test_asking_for_reasons_changes_no_list(recommender: Recommender, known: list[Id], cold: Id) -> None:
    for user in [*known, cold, STRANGER]:
        plain, explained = recommender.recommend(user, 10), recommender.recommend(user, 10, explain=True)
        assert [result._replace(because=None) for result in explained] == plain
        assert all(result.because is None for result in plain)


def test_reasons_do_not_depend_on_the_length_of_the_list(recommender: Recommender, known: list[Id]) -> None:
    short, long = (recommender.recommend(known[0], n, explain=True) for n in (3, 20))
    assert reasons_of(short) == reasons_of(long)[:3]


def test_a_row_of_a_batch_is_explained_as_it_is_alone(recommender: Recommender, known: list[Id]) -> None:
    two_stage = recommender.two_stage
    users = np.array([recommender.users.number(user) for user in known], np.int32)
    limits = Limits(n=10, exclude=two_stage.features.history.seen_items, blocked=np.zeros(0, np.int32))

    def described(users: UserNums) -> Described:
        trace = two_stage.trace(users, "final", limits).known
        assert trace is not None
        assert trace.described is not None
        return trace.described

    def effects_of(described: Described) -> Effects:
        columns = described.ranker.pair_features.columns(two_stage.features, ("two_tower", "popularity"))
        return occlude(described.ranker, described.lists, columns)

    alone = [described(users[[place]]) for place in range(len(users))]
    of_batch, of_alone = effects_of(described(users)), [effects_of(one) for one in alone]
    assert {one.groups for one in of_alone} == {of_batch.groups}
    np.testing.assert_allclose(of_batch.changes, np.concatenate([one.changes for one in of_alone], axis=1), atol=1e-4)
    for place, user in enumerate(known):
        results = recommender.recommend(user, 10, explain=True)
        rows = alone[place].lists.items.tolist()
        for result, because in zip(results, reasons_of(results), strict=True):
            row = rows.index(recommender.items.number(result.item_id))
            changes = dict(zip(of_alone[place].groups, of_alone[place].changes[:, row].tolist(), strict=True))
            assert {effect.feature: effect.change for effect in because.features}.items() <= changes.items()


@pytest.mark.parametrize("kind", ["known", "cold"])
def test_explaining_neither_retrieves_nor_describes_again(
    recommender: Recommender, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = request.getfixturevalue(kind)
    user = user[0] if isinstance(user, list) else user
    calls: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def counted(*arguments: object, **options: object) -> object:
            calls[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    two_stage = recommender.two_stage
    assert isinstance(two_stage.ranker, DescribingRanker)
    count(two_stage.retriever, "retrieve")
    count(two_stage.popularity, "retrieve")
    count(two_stage.towers, "encode_queries")
    count(two_stage.ranker, "describe")
    recommender.recommend(user, 10)
    plain = calls.copy()
    assert plain["retrieve"]
    calls.clear()
    recommender.recommend(user, 10, explain=True)
    assert calls == plain


def test_unranked_items_have_no_reasons(recommender: Recommender, known: list[Id]) -> None:
    n_candidates = recommender.two_stage.n_candidates
    results = recommender.recommend(known[0], n_candidates + 10, explain=True)
    assert len(results) == n_candidates + 10
    for result in results:
        assert (result.because == Explanation((), ())) == (result.origin == "unranked") == (result.rank > n_candidates)


def test_titles(recommender: Recommender, known: list[Id]) -> None:
    titles = dict(zip(recommender.items.ids.to_pylist(), recommender.titles.to_pylist(), strict=True))
    for because in reasons_of(recommender.recommend(known[0], 5, explain=True)):
        assert [found.title for found in because.watched] == [titles[found.item_id] for found in because.watched]


def test_cold_users_are_told_what_is_popular_with_whom(recommender: Recommender, cold: Id) -> None:
    results = recommender.recommend(cold, 10, explain=True)
    assert_well_formed(results, set())
    named = {effect.feature for because in reasons_of(results) for effect in because.features}
    assert "popularity" in named
    groups = {f"users of the same {name}" for name in ("age", "gender", "occupation")}
    assert named <= groups | {"popularity", "the towers"}
    assert named & groups


def test_a_strangers_list_is_popular_with_everybody(recommender: Recommender) -> None:
    for because in reasons_of(recommender.recommend(STRANGER, 5, explain=True)):
        assert because.features[0].feature == "popularity"
        assert because.features[0].change > 0


def test_session_users(recommender: Recommender) -> None:
    history = recommender.items.ids.to_pylist()[:4]
    results = recommender.recommend(STRANGER, 10, history=history, explain=True)
    assert_well_formed(results, set(history))
    assert all(because.features for because in reasons_of(results))


def test_without_a_ranker_vectors_tell_what_is_alike(closed: Recommender, known: list[Id], cold: Id) -> None:
    results = closed.recommend(known[0], 10, explain=True)
    assert_well_formed(results, seen_by(closed, known[0]))
    for result, because in zip(results, reasons_of(results), strict=True):
        assert because.features == ()
        alike = {found.item_id: found.similarity for found in closed.similar_items(result.item_id, 10_000)}
        first, *others = (alike[found.item_id] for found in because.watched)
        assert all(similarity <= first + 1e-6 for similarity in others)
        assert first == pytest.approx(max(alike[item] for item in seen_by(closed, known[0])), abs=1e-6)
    assert_well_formed(closed.recommend(cold, 10, explain=True), set())


def test_seen_items_are_no_reason_for_themselves(
    recommender: Recommender, closed: Recommender, known: list[Id]
) -> None:
    for run in (recommender, closed):
        results = run.recommend(known[0], 120, exclude_seen=False, explain=True)
        assert_well_formed(results, seen_by(run, known[0]))


def test_items_that_are_chosen_from(recommender: Recommender, known: list[Id]) -> None:
    some = recommender.items.ids.to_pylist()[::3]
    results = recommender.recommend(known[0], 10, only=some, exclude=some[:5], explain=True)
    assert_well_formed(results, seen_by(recommender, known[0]))
    (single,) = recommender.recommend(known[0], 10, only=[results[0].item_id], explain=True)
    assert single.because is not None
    assert single.because.features == ()  # there is nothing that it stands above
    assert recommender.recommend(known[0], 10, only=[], explain=True) == []


def test_the_function_explains_too(recommender: Recommender, known: list[Id], tiny_run: Path) -> None:
    expected = recommender.recommend(known[0], 3, explain=True)
    assert recommend(known[0], 3, artifacts=tiny_run, explain=True) == expected
