"""Drawn places: their chances against how often items come over many seeds, and every promise about lists."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.rules.explore import draw_places, inclusion_chances, keys_of, uniforms_of

NOBODY = 999


def test_chances_follow_the_weights_and_add_up() -> None:
    weight = np.array([[4.0, 2.0, 1.0, 1.0, 0.0], [8.0, 1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0, 0.0]])
    found = inclusion_chances(weight, np.array([1, 2, 3]))
    by_hand = [[0.5, 0.25, 0.125, 0.125, 0], [1, 0.5, 0.5, 0, 0], [1, 1, 0, 0, 0]]
    assert found == pytest.approx(np.array(by_hand), abs=1e-12)
    assert (inclusion_chances(weight, np.zeros(3, np.int64)) == 0).all()


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 1.0])
def test_items_come_as_often_as_their_chances_say(share: float) -> None:
    """One list of 5 out of 12 candidates under 40,000 keys; the second place is not to be touched."""
    n_draws, n = 40_000, 5
    relevance = np.linspace(1, 0, 12, dtype=np.float32)
    is_open = np.ones(12, np.bool_)
    is_open[[8, 11]] = False  # may not be drawn
    chosen, is_free = np.array([0, 8, 1, 2, 4]), np.array([True, False, True, True, True])
    keys = keys_of(3, np.arange(n_draws, dtype=np.int32), np.zeros((n_draws, 1), np.int32))
    tables = (np.tile(one, (n_draws, 1)) for one in (chosen, is_free, relevance, is_open))
    drawn = draw_places(*tables, keys, share=share, temperature=0.4)
    listed = np.zeros((n_draws, 12), np.bool_)
    np.put_along_axis(listed, drawn.chosen, True, axis=1)
    assert (listed.sum(axis=1) == n).all()
    assert (drawn.chosen[:, 1] == 8).all() and not drawn.is_drawn[:, 1].any() and not listed[:, 11].any()
    assert drawn.is_drawn.sum() / n_draws == pytest.approx(min(share * n, 4), abs=0.01)
    chance = np.full(12, np.nan)
    chance[drawn.chosen.ravel()] = drawn.chance.ravel()
    told = np.full((n_draws, 12), np.nan)
    np.put_along_axis(told, drawn.chosen, drawn.chance, axis=1)
    assert (np.isnan(told) | (told == chance)).all()  # an item has one chance, whoever else is drawn
    assert np.nansum(chance) == pytest.approx(n)
    error = np.sqrt(np.nan_to_num(chance) * (1 - np.nan_to_num(chance)) / n_draws)
    assert (np.abs(listed.mean(axis=0) - np.nan_to_num(chance)) <= 4 * error + 1e-9).all()
    of_place = drawn.is_drawn[:, is_free].mean(axis=0)
    assert of_place == pytest.approx(np.full(4, min(share * n, 4) / 4), abs=0.012)
    both = listed[:, 9] & listed[:, 10]
    assert both.any() == (share > 0.2)  # neighbours may come together, where two are drawn


def test_uniforms_are_those_of_splitmix() -> None:
    found = uniforms_of(np.array([1234567], np.uint64), 3)
    assert (found[0] * 2.0**53).astype(np.uint64).tolist() == [
        one >> 11 for one in (6457827717110365317, 3203168211198807973, 9817491932198370423)
    ]
    many = uniforms_of(keys_of(0, np.arange(1000, dtype=np.int32), np.ones((1000, 2), np.int32)), 20)
    assert many.mean() == pytest.approx(0.5, abs=0.01) and np.unique(many).size == many.size


def test_temperature_says_how_far_draws_go(shaped: Recommender) -> None:
    order = [one.item_id for one in shaped.recommend(NOBODY, 30)]
    places = []
    for temperature in (0.01, 0.5, 100):
        rules = [{"explore": {"share": 0.5, "temperature": temperature, "seed": seed}} for seed in range(60)]
        found = [one for rule in rules for one in shaped.recommend(NOBODY, 4, rules=rule) if one.origin == "explored"]
        places.append(np.mean([order.index(one.item_id) for one in found]))
    assert places[0] < places[1] < places[2]
    assert places[0] == pytest.approx(2.5, abs=0.5)  # the two that were next


@pytest.mark.parametrize("user", [1, 17, NOBODY])
def test_chances_of_a_run_are_those_of_its_seeds(shaped: Recommender, user: int) -> None:
    rules = {"share": 0.3, "temperature": 0.5}
    came: dict[object, int] = {}
    chance: dict[object, float] = {}
    n_seeds = 1500
    for seed in range(n_seeds):
        for one in shaped.recommend(user, 5, rules={"explore": {**rules, "seed": seed}}):
            came[one.item_id] = came.get(one.item_id, 0) + 1
            assert one.propensity is not None
            assert chance.setdefault(one.item_id, one.propensity) == pytest.approx(one.propensity, abs=1e-9)
    for item, p in chance.items():
        assert came[item] / n_seeds == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / n_seeds) + 1e-9)
    greedy = [one.item_id for one in shaped.recommend(user, 5)]
    assert [chance[item] for item in greedy[:3]] == [1, 1, 1]  # 1.5 of 5 places are drawn: three or four stay


def test_what_stays_keeps_its_order_and_scores_fall(shaped: Recommender) -> None:
    order = [one.item_id for one in shaped.recommend(1, 30)]
    pins = [{"item_id": order[6], "place": 2}]
    for seed in range(20):
        found = shaped.recommend(1, 6, rules={"explore": {"share": 0.5, "seed": seed}, "pinned": pins})
        assert [one.rank for one in found] == [1, 2, 3, 4, 5, 6]
        assert (found[1].item_id, found[1].origin, found[1].propensity) == (order[6], "pinned", 1)
        assert sum(one.origin == "explored" for one in found) == 3
        assert [one.item_id for one in found if one.origin not in ("explored", "pinned")] == order[:2]
        scores = [one.score for one in found]
        assert scores == sorted(scores, reverse=True)


def test_a_list_of_all_that_is_left_is_sure(shaped: Recommender) -> None:
    order = [one.item_id for one in shaped.recommend(1, 30)]
    found = shaped.recommend(1, 5, only=order[:4], rules={"explore": {"share": 0.5}})
    assert {one.item_id for one in found} == set(order[:4])
    assert [one.propensity for one in found] == pytest.approx([1, 1, 1, 1])
    assert shaped.recommend(1, 5, only=[], rules={"explore": {}}) == []


def test_a_table_has_the_chances_whoever_is_asked_beside(shaped: Recommender, tmp_path: Path) -> None:
    rules = {"explore": {"share": 0.3, "seed": 7}, "deny": [3]}
    whole = shaped.recommend_many([*range(1, 41), NOBODY], 6, rules=rules).to_arrow()
    assert whole.schema.field("propensity").type == pa.float64()
    assert "propensity" not in shaped.recommend_many([1], 6, rules={"deny": [3]}).column_names
    users = [*range(1, 41), NOBODY]
    alone = pa.concat_tables(shaped.recommend_many([user], 6, rules=rules).to_arrow() for user in users)
    assert alone.select(["user_id", "rank", "item_id"]) == whole.select(["user_id", "rank", "item_id"])
    assert alone["propensity"].to_numpy() == pytest.approx(whole["propensity"].to_numpy(), abs=1e-5)
    one = shaped.recommend(5, 6, rules=rules)
    of_table = whole.filter(pa.compute.equal(whole["user_id"], 5))
    assert [result.item_id for result in one] == of_table["item_id"].to_pylist()
    result = write_batch(shaped, tmp_path / "lists", n=6, rules=rules)
    written = pa.parquet.read_table(result.path)
    known = whole.slice(0, len(written))
    assert written["item_id"].to_pylist() == known["item_id"].to_pylist()
    assert written["propensity"].to_numpy() == pytest.approx(known["propensity"].to_numpy(), rel=1e-12)
    other = shaped.recommend_many([*range(1, 41)], 6, rules={**rules, "explore": {"share": 0.3, "seed": 8}})
    assert other["item_id"].to_pylist() != written["item_id"].to_pylist()


def test_users_are_drawn_for_apart(shaped: Recommender) -> None:
    """Nobody's lists are equal but for the users; each draws for itself."""
    table = shaped.recommend_many(range(1, 41), 5, rules={"explore": {"share": 0.4}})
    drawn = table.filter(pa.compute.equal(table["origin"], "explored"))
    assert len(set(drawn["rank"].to_pylist())) == 5
    assert len(set(drawn["item_id"].to_pylist())) > 10


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"explore": {}, "at_most": {"genres": 2}}, "explore and at_most contradict each other"),
        ({"explore": {"share": 0}}, r"explore\.share: Input should be greater than 0"),
        ({"explore": {"share": 1.5}}, r"explore\.share: Input should be less than or equal to 1"),
        ({"explore": {"temperature": 0}}, r"explore\.temperature: Input should be greater than or equal to 0\.01"),
        ({"explore": {"seed": -1}}, r"explore\.seed: Input should be greater than or equal to 0"),
        ({"explore": {"epsilon": 1}}, r"explore\.epsilon: there is no such rule"),
    ],
)
def test_what_cannot_be_is_refused(shaped: Recommender, rules: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        shaped.recommend(1, 5, rules=rules)
