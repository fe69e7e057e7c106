"""Lists under rules, against what a plain reading of each rule over the whole order of items gives."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.serving.neighbours import Neighbourhoods
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.results import Recommendation
from belfry.pipeline.serving.rules.config import MAX_PLACES, Rules

NOBODY = 999  # a user whom no run knows
USERS = (1, 2, 17, NOBODY)


def order_of(shaped: Recommender, user: int) -> list[int]:
    """All items that a user may get, in the order without rules."""
    return [result.item_id for result in shaped.recommend(user, 30)]  # type: ignore[misc]


def ids(results: list[Recommendation]) -> list[int]:
    return [result.item_id for result in results]  # type: ignore[misc]


def genres_of(item: int) -> list[str]:
    return [] if item == 5 else [f"g{item % 3}", "all"] if item % 2 else [f"g{item % 3}"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("n", [1, 4, 30])
@pytest.mark.parametrize(
    ("rules", "keeps"),
    [
        ({"where": "year < 2000"}, lambda item: item < 10 and item != 6),
        ({"where": "year >= 1992 or year is None"}, lambda item: item > 1),
        ({"allow": [3, 9, 27, 12345]}, lambda item: item in (3, 9, 27)),
        ({"deny": [3, 9, 12345]}, lambda item: item not in (3, 9)),
        ({"where": "'all' in genres", "deny": [1]}, lambda item: "all" in genres_of(item) and item != 1),
        ({"available_from": "opens", "now": "2025-06-01"}, lambda item: item % 2 == 0),
        ({"available_from": "opens", "now": "2026-01-01T00:00:00Z"}, lambda item: True),
        ({"available_until": "closes_s", "now": "2100-01-01"}, lambda item: item % 5 == 0),
    ],
)
def test_filters_keep_the_order_and_fill_the_list(
    shaped: Recommender, user: int, n: int, rules: dict[str, object], keeps: Callable[[int], bool]
) -> None:
    wanted = [item for item in order_of(shaped, user) if keeps(item)][:n]
    assert ids(shaped.recommend(user, n, rules=rules)) == wanted


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("n", [3, 8, 30])
@pytest.mark.parametrize("limits", [{"genres": 2}, {"artist": 1}, {"genres": 4, "artist": 2}, {"year": 1}])
def test_quotas_take_the_first_that_fit(shaped: Recommender, user: int, n: int, limits: dict[str, int]) -> None:
    labels: dict[str, Callable[[int], list[str]]] = {
        "genres": genres_of,
        "artist": lambda item: [] if item == 5 else [f"a{item % 4}"],
        "year": lambda item: [str(item)],
    }
    counts: dict[str, Counter[str]] = {column: Counter() for column in limits}
    wanted: list[int] = []
    for item in order_of(shaped, user):
        own = [(column, label) for column in limits for label in labels[column](item)]
        if len(wanted) < n and all(counts[column][label] < limits[column] for column, label in own):
            wanted.append(item)
            for column, label in own:
                counts[column][label] += 1
    assert ids(shaped.recommend(user, n, rules={"at_most": limits})) == wanted


def test_pinned_items_have_their_places_and_come_once(shaped: Recommender) -> None:
    order = order_of(shaped, 1)
    pins = [{"item_id": order[9], "place": 2}, {"item_id": order[0], "place": 4}, {"item_id": order[-1], "place": 50}]
    found = shaped.recommend(1, 5, rules={"pinned": pins})
    assert ids(found) == [order[1], order[9], order[2], order[0], order[3]]
    assert [result.origin == "pinned" for result in found] == [False, True, False, True, False]
    scores = [result.score for result in found]
    assert scores == sorted(scores, reverse=True) and scores[1] == scores[0] and scores[3] == scores[2]


def test_pins_give_way_to_what_was_seen_and_to_the_call(shaped: Recommender) -> None:
    seen = [item for item in range(1, 31) if item not in order_of(shaped, 1)]
    order = order_of(shaped, 1)
    pins = {"pinned": [{"item_id": seen[0], "place": 1}, {"item_id": order[7], "place": 2}]}
    assert ids(shaped.recommend(1, 3, rules=pins)) == [order[0], order[7], order[1]]
    assert ids(shaped.recommend(1, 3, rules=pins, exclude=[order[7]])) == order[:3]
    assert ids(shaped.recommend(1, 3, rules=pins, exclude_seen=False))[:2] == [seen[0], order[7]]


def test_pins_move_up_where_a_list_ends(shaped: Recommender) -> None:
    order = order_of(shaped, 1)
    rules = {"allow": [*order[:2], order[9]], "pinned": [{"item_id": order[9], "place": 8}]}
    assert ids(shaped.recommend(1, 10, rules=rules)) == [order[0], order[1], order[9]]
    alone = shaped.recommend(1, 10, rules={**rules, "allow": [order[9]]})
    assert ids(alone) == [order[9]] and alone[0].score == 0


def test_pins_count_for_quotas_before_all_else(shaped: Recommender) -> None:
    order = order_of(shaped, 1)
    last = next(item for item in reversed(order) if item % 4 == order[0] % 4 and item != 5)
    rules = {"at_most": {"artist": 1}, "pinned": [{"item_id": last, "place": 3}]}
    found = ids(shaped.recommend(1, 4, rules=rules))
    assert found[2] == last and order[0] not in found


@pytest.mark.parametrize("rule", [{"method": "sum"}, {"method": "mmr"}, {"method": "dpp"}, {"column": "genres"}])
def test_diversity_makes_lists_more_different(shaped: Recommender, rule: dict[str, object]) -> None:
    def alike(results: list[Recommendation]) -> float:
        if "column" in rule:
            sets = [set(genres_of(item)) for item in ids(results)]
            return float(
                np.mean([len(a & b) / max(1, np.sqrt(len(a) * len(b))) for a in sets for b in sets if a is not b])
            )
        vectors = Neighbourhoods(shaped.two_stage).of_items.directions(30)[ids(results)]
        return float((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].mean())

    users = [1, 2, 3, 17, 20, 30]
    before = [alike(shaped.recommend(user, 6)) for user in users]
    after = [alike(shaped.recommend(user, 6, rules={"diversity": {**rule, "weight": 0.9}})) for user in users]
    assert np.mean(after) < np.mean(before) - 0.05


def test_what_is_chosen_stands_in_the_order_of_its_scores(shaped: Recommender) -> None:
    found = shaped.recommend(1, 6, rules={"diversity": {"weight": 0.9}})
    order = order_of(shaped, 1)
    assert [order.index(item) for item in ids(found)] == sorted(order.index(item) for item in ids(found))
    own = {result.item_id: result.score for result in shaped.recommend(1, 30)}
    assert [result.score for result in found] == pytest.approx([own[item] for item in ids(found)], abs=1e-6)


def test_calibration_comes_nearer_to_the_history(shaped: Recommender) -> None:
    history = shaped.features.history

    def shares(items: list[int]) -> np.ndarray:
        counts = Counter(label for item in items for label in genres_of(item) if label != "all")
        return np.array([counts[label] for label in ("g0", "g1", "g2")]) / max(1, counts.total())

    def distance(user: int, rules: dict[str, object] | None) -> float:
        seen = history.seen_items.of(user).tolist()
        return float(np.abs(shares(ids(shaped.recommend(user, 6, rules=rules))) - shares(seen)).sum())

    users = range(1, 41)
    before, after = ([distance(user, rules) for user in users] for rules in (None, {"calibration": {"weight": 0.9}}))
    assert np.mean(after) < 0.7 * np.mean(before)


@pytest.mark.parametrize("column", ["year", "opens"])
def test_freshness_lifts_what_is_new(shaped: Recommender, column: str) -> None:
    rules = {"freshness": {"column": column, "half_life": 1, "weight": 0.95}}
    found, order = ids(shaped.recommend(1, 3, rules=rules)), order_of(shaped, 1)
    new = [item for item in sorted(order, reverse=True) if column == "year" or item % 2]
    assert new[0] in found if column == "year" else set(found) <= set(new)


def test_freshness_of_first_events_needs_times_and_gets_them(shaped: Recommender) -> None:
    late = {28, 29, 30}  # items that only the newest tenth of the events holds
    found = ids(shaped.recommend(1, 3, rules={"freshness": {"half_life": 1, "weight": 0.95}}))
    assert late & set(found)


@pytest.mark.parametrize(
    "rules",
    [
        {"where": "year >= 1995"},
        {"at_most": {"genres": 2}, "diversity": {"weight": 0.5}, "pinned": [{"item_id": 9, "place": 2}]},
        {"calibration": {}, "freshness": {"column": "year", "half_life": 5}, "depth": 7},
        {"diversity": {"method": "dpp"}, "at_most": {"artist": 1}, "deny": [1, 2, 3]},
    ],
)
@pytest.mark.parametrize("n", [5, 30])
def test_one_user_equals_their_row_among_many(shaped: Recommender, rules: dict[str, object], n: int) -> None:
    users = [*range(1, 41), NOBODY]
    table = shaped.recommend_many(users, n, rules=rules, workers=2)
    alone = [
        (user, result.rank, result.item_id, result.origin)
        for user in users
        for result in shaped.recommend(user, n, rules=rules)
    ]
    together = zip(*(table[name].to_pylist() for name in ("user_id", "rank", "item_id", "origin")), strict=True)
    assert [*together] == alone


def test_lists_with_a_fresh_history_and_reasons(shaped: Recommender) -> None:
    rules = {"at_most": {"artist": 1}, "pinned": [{"item_id": 9, "place": 1}], "calibration": {}}
    found = shaped.recommend(NOBODY, 4, history=[1, 2], rules=rules, explain=True)
    assert len(found) == 4 and found[0].item_id == 9 and all(result.because is not None for result in found)
    assert not {1, 2} & set(ids(found))


def test_only_and_rules_both_hold(shaped: Recommender) -> None:
    order = order_of(shaped, 1)
    found = ids(shaped.recommend(1, 10, only=order[:8], where="item_id < 20", exclude=order[:1]))
    assert found == [item for item in order[1:8] if item < 20]


def test_where_alone_and_rules_make_one(shaped: Recommender) -> None:
    both = ids(shaped.recommend(1, 30, rules={"where": "item_id > 5"}, where="item_id < 20"))
    assert both == [item for item in order_of(shaped, 1) if 5 < item < 20]
    assert both == ids(shaped.recommend(1, 30, rules=Rules(where="5 < item_id < 20")))


def test_nothing_allowed_is_an_empty_list_with_a_reason(shaped: Recommender) -> None:
    assert shaped.recommend(1, 5, where="year < 0") == []
    assert shaped.recommend(NOBODY, 5, rules={"where": "year < 0", "at_most": {"genres": 1}}) == []
    assert len(shaped.recommend_many([1, NOBODY], 5, where="year < 0")) == 0
    bound = shaped.bound({"at_most": {"genres": 2}}, "year < 1993")
    assert bound is not None
    assert bound.why_fewer() == "2 of 30 items may be listed, at most 2 of each label of 'genres'"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"pinned": [{"item_id": 77, "place": 1}]}, "item 77 is not in the catalogue of run"),
        (
            {"pinned": [{"item_id": 3, "place": 1}], "where": "item_id > 3"},
            "pinned 3 and where contradict each other",
        ),
        (
            {"pinned": [{"item_id": 4, "place": 1}, {"item_id": 8, "place": 2}], "at_most": {"artist": 1}},
            "2 pinned items have 'a0' in 'artist', at_most allows 1",
        ),
        ({"at_most": {"gneres": 1}}, "at_most: the items have no column 'gneres'; there are 'item_id'"),
        ({"calibration": {"column": "nothing"}}, "calibration: the items have no column 'nothing'"),
        ({"diversity": {"column": "nothing"}}, "diversity: the items have no column 'nothing'"),
        ({"freshness": {"column": "genres", "half_life": 1}}, "freshness: column 'genres' holds lists"),
        ({"freshness": {"column": "artist", "half_life": 1}}, "freshness: 'a0' in column 'artist' is no date"),
        ({"available_from": "year"}, "holds numbers up to 2,020, which are no UTC seconds"),
        ({"available_until": "artist"}, "available_until: 'a0' in column 'artist' is no date"),
        ({"allow": [1234]}, "allow: none of its 1 ids is in the catalogue"),
        ({"deny": ["a"]}, "deny: the id 'a' is str"),
    ],
)
def test_what_does_not_fit_the_items(shaped: Recommender, rules: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as refused:
        shaped.recommend(1, 5, rules=rules)
    assert words in str(refused.value)


def test_lengths(shaped: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="n=0"):
        shaped.recommend(1, 0, where="year > 1")
    assert ids(shaped.recommend(1, 1_000_000, where="item_id > 0")) == order_of(shaped, 1)
    assert len(shaped.recommend(1, 1_000_000, rules={"at_most": {"genres": 1}})) <= 4
    assert MAX_PLACES == 10_000
    monkeypatch.setattr("belfry.pipeline.serving.rules.bound.MAX_PLACES", 20)
    with pytest.raises(InputError, match="have at most 20 places"):
        shaped.recommend(1, 30, rules={"at_most": {"genres": 1}})


def test_the_clock_is_asked_at_each_call(shaped: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"available_from": "opens"}
    for year, n_open in ((2024, 0), (2025, 15), (2027, 30)):
        when = datetime(year, 6, 1, tzinfo=UTC).timestamp()
        monkeypatch.setattr("belfry.pipeline.serving.rules.bound.time.time", lambda when=when: when)
        bound = shaped.bound(rules)
        assert bound is not None and bound.allowed().sum() == n_open
