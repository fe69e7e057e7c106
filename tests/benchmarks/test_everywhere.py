"""The check of `default` beside plain rules: what is judged, what counts as beaten, and the page."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.prepare import Data
from belfry.dataset.split import split_random, split_time
from belfry.retrieval.popularity import Popularity, PopularityConfig
from benchmarks.everywhere import __main__ as command
from benchmarks.everywhere.page import OLDER, page
from benchmarks.everywhere.results import METRICS, Judged, Metric, Result, code_now, compare, keep, per_user, stored
from benchmarks.everywhere.shops import ATTRIBUTES, PUBLISHED, ShopCase
from benchmarks.everywhere.systems import CASES, HOLDOUTS, LISTS, RETRIEVAL, RULES, WITHOUT
from benchmarks.judging import context_of, scores_of
from benchmarks.leaderboard.splits import Case
from tests.benchmarks.tiny_case import TinyCase

BY_NAME = {case.name: case for case in CASES}


def judged(value: float, n_users: int) -> Judged:
    per_user: dict[Metric, list[float]] = {metric: [value] * n_users for metric in METRICS}
    return Judged(per_user=per_user, cpu_s=2)


def result_of(case: str = "beauty-last", *, seed: int = 0, n_users: int = 120, **values: float) -> Result:
    """Of `lists` and `retrieval`, and two rules with figures of 0.1 and 0.2 for everybody."""
    systems = {
        LISTS: values.get("lists", 0.3),
        RETRIEVAL: values.get("retrieval", 0.2),
        "popularity": 0.1,
        "ItemKNN, bm25": 0.2,
    }
    return Result(
        case=case,
        seed=seed,
        users=list(range(1, n_users + 1)),
        n_items=40,
        systems={name: judged(value, n_users) for name, value in systems.items()},
        left_out={"EASE": "too large"},
        notes={
            "sources": {"two_tower": {"weight": 1.0, "epochs": 3}, "item_knn": {"weight": 0.5, "epochs": None}},
            "source_choice": {"alone": {"two_tower": 0.11, "ease": 0.05}, "together": 0.12},
            "left_out": {"ease": "adds nothing"},
        },
        gate="gate open",
        versions={"numpy": "2"},
        code=code_now(),
        measured_on="2026-01-02",
    )


@pytest.mark.parametrize("order", ["time", "random"])
def test_both_stages_and_rules_are_judged_alike(tiny_data, tiny_run, monkeypatch, tmp_path, order):
    from benchmarks.everywhere import measure

    trained_on = []

    def publish(data, config, *, work, **options):
        trained_on.append(data.interactions)
        return tiny_run

    monkeypatch.setattr(measure, "train_and_publish", publish)
    data = tiny_data
    if order == "random":  # no order, and what needs one is left out
        data = replace(tiny_data, interactions=replace(tiny_data.interactions, timestamp_s=None))
    case = TinyCase(
        f"100k-{order}",
        "Tiny",
        "none",
        lambda events, seed: split_random(events, seed=seed) if order == "random" else split_time(events),
        tiny=data,
    )
    result = measure.measure(case, case.load(None), seed=1)
    split = case.split(data.interactions, 1)
    assert len(trained_on[0]) == len(split.train)
    needs_order = {name for name, config in RULES.items() if getattr(config, "half_life", None)}
    assert set(result.left_out) == (needs_order if order == "random" else set())
    assert set(result.systems) == {LISTS, RETRIEVAL, *RULES} - set(result.left_out)
    context = context_of(split)
    features = data.features(split.train)
    popular = Popularity(PopularityConfig()).fit(split.train, features, seed=0)
    lists = popular.retrieve(context.users, features, top_k=100, exclude=split.train.seen_items)
    wanted = scores_of(lists, context, depth=100, cutoffs=(100,)).per_user
    assert result.users == context.users.tolist()
    for metric in METRICS:
        found = result.systems["popularity"].per_user[metric]
        np.testing.assert_allclose(found, wanted[metric], atol=1e-6)
    assert result.systems[LISTS].per_user["ndcg@10"] != result.systems[RETRIEVAL].per_user["ndcg@10"]
    assert set(result.notes) == {"sources", "source_choice", "left_out"}
    keep(result, tmp_path)
    assert stored(tmp_path, case.name, 2) == [result]


def test_lists_must_be_better_and_candidates_no_worse():
    generator = np.random.default_rng(0)
    assert [one.holds for one in compare([result_of()])] == [True, True, True]
    assert {one.rule for one in compare([result_of()])} == {"ItemKNN, bm25"}
    assert [one.holds for one in compare([result_of(lists=0.2)])] == [False, False, True]
    assert [one.holds for one in compare([result_of(retrieval=0.19)])] == [True, True, False]
    noisy = result_of()
    values: dict[Metric, list[float]] = {metric: generator.random(120).tolist() for metric in METRICS}
    values = {metric: [0.21 + value - np.mean(found) for value in found] for metric, found in values.items()}
    noisy = noisy.model_copy(update={"systems": {**noisy.systems, LISTS: Judged(per_user=values, cpu_s=1)}})
    ndcg = compare([noisy])[0]
    assert ndcg.ours > ndcg.theirs
    assert ndcg.difference.low < 0
    assert not ndcg.holds


def test_seeds_are_averaged_by_user():
    """A random split may leave a user without a test row under one seed."""
    found = per_user([result_of(lists=0.2), result_of(seed=1, n_users=150, lists=0.4)], LISTS, "ndcg@10")
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1:121], 0.3)
    np.testing.assert_allclose(found[121:], 0.4)


def test_the_page_shows_what_is_there_and_names_what_is_not():
    better = result_of("beauty-attributes", lists=0.35, retrieval=0.15)
    found = {BY_NAME["beauty-last"]: [result_of()], BY_NAME["beauty-attributes"]: [better], BY_NAME["100k-last"]: []}
    text = page(found, command="make benchmark-everywhere")
    assert "Written by `make benchmark-everywhere`; measured 2026-01-02, numpy 2." in text
    rows = [line for line in text.splitlines() if line.startswith("| Amazon Beauty")]
    assert "| **0.3000** | 0.2000 ItemKNN, bm25 | +0.1000 [+0.1000, +0.1000] |" in rows[0]
    assert [row.split(" | ")[-1] for row in rows] == ["yes |", "no: recall@100 |"]
    assert "sources by weight: `two_tower` 1.00, `item_knn` 0.50; alone worth `two_tower` 0.1100" in text
    assert "together 0.1200; left out: `ease`; gate open." in text
    assert "- EASE is left out: too large." in text
    assert "here minus `default` on `beauty-last`: NDCG@10 +0.0500 [+0.0500, +0.0500]" in text
    assert text.count("| eSASRec | 0.0523 | 0.0928 |") == 1  # of the last events without attributes alone
    assert "Not measured yet: 100k-last." in text
    assert OLDER not in text
    older = result_of().model_copy(update={"code": "of yesterday", "notes": {}})
    assert f"each user's last event {OLDER} |" in page({BY_NAME["beauty-last"]: [older]}, command="")


def test_the_check_fails_where_a_rule_is_not_beaten(tmp_path, capsys):
    asked = ["--write-only", "--results", str(tmp_path), "--page", str(tmp_path / "page.md"), "--case", "beauty-last"]
    assert command.main(asked) == 0
    assert command.main([*asked, "--check"]) == 1
    assert "beauty-last: 0 of 1 seeds are measured" in capsys.readouterr().err
    keep(result_of(), tmp_path)
    assert command.main([*asked, "--check"]) == 0
    keep(result_of(lists=0.1), tmp_path)
    assert command.main(asked) == 0
    assert command.main([*asked, "--check"]) == 1
    assert "beauty-last: recall@10 0.1000 is not above ItemKNN, bm25 0.2000: -0.1000" in capsys.readouterr().err
    assert "`python -m benchmarks.everywhere --case beauty-last --seeds 1`" in (tmp_path / "page.md").read_text()


def test_only_what_is_missing_is_measured(tiny_data, tmp_path, monkeypatch):
    from benchmarks.everywhere import measure

    seeds: list[int] = []

    def measured(case: Case, data: Data, seed: int) -> Result:
        seeds.append(seed)
        return result_of(case.name, seed=seed)

    monkeypatch.setattr(measure, "measure", measured)
    case = TinyCase("100k-last", "Tiny", "none", lambda events, seed: split_time(events), tiny=tiny_data)
    keep(result_of("100k-last"), tmp_path)
    keep(result_of("100k-last", seed=1).model_copy(update={"code": "of yesterday"}), tmp_path)
    command.measure_missing(case, 3, tmp_path, None)
    assert seeds == [1, 2]
    command.measure_missing(case, 3, tmp_path, None)
    assert seeds == [1, 2]


def test_a_shop_is_two_columns_of_ids_in_order(tmp_path):
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "Beauty.txt").write_text("7 30 10 20\n4 10 40\n")
    attributes_of = {"10": [5, 6], "20": [6], "30": []} | {str(item): [5] for item in range(40, 50)}
    (tmp_path / "shops" / "Beauty_item2attributes.json").write_text(json.dumps(attributes_of))
    last, attributes, random = (BY_NAME[f"beauty-{name}"] for name in ("last", "attributes", "random"))
    data = last.load(tmp_path)
    events = data.interactions
    assert events.is_ordered
    assert events.timestamp_s is None
    assert last.split(events, 0).test.to_table().select(["user_id", "item_id"]).to_pydict() == {
        "user_id": [7, 4],
        "item_id": [20, 40],
    }
    assert not data.items.multi_valued
    with_attributes = attributes.load(tmp_path)
    known = with_attributes.interactions.items.numbers(pa.array([10, 20, 30, 40]))
    assert with_attributes.items.multi_valued[ATTRIBUTES][known].tolist() == [[1], [0], [0], [1]]  # 6 is too rare
    assert not random.load(tmp_path).interactions.is_ordered
    with pytest.raises(InputError, match=r"Sports_and_Outdoors\.txt: no such file; put the sequences of S3-Rec there"):
        BY_NAME["sports-last"].load(tmp_path)


def test_every_case_has_its_holdout_and_its_neighbour():
    assert len(BY_NAME) == len(CASES)
    assert set(HOLDOUTS) == set(BY_NAME)
    assert set(WITHOUT) | set(WITHOUT.values()) <= set(BY_NAME)
    assert set(PUBLISHED) == {case.data for case in CASES if isinstance(case, ShopCase)}
    assert [BY_NAME["beauty-last"].data, HOLDOUTS["beauty-random"]] == ["Beauty", "random"]


def test_arguments_are_checked(capsys):
    for wrong, said in ((["--case", "nothing"], "invalid choice: 'nothing'"), (["--seeds", "0"], "give 1 or more")):
        with pytest.raises(SystemExit):
            command.main([*wrong, "--write-only"])
        assert said in capsys.readouterr().err


def test_the_page_names_the_command_of_each_number_of_seeds():
    told = command._command({"beauty-last": 3, "plays": 1, "100k-last": 0})
    start = "python -m benchmarks.everywhere --case beauty-last"
    assert told == f"{start} --case plays --seeds 1; {start} --seeds 3"
