"""Evaluation: who is judged, on what, beside which baselines; checked by hand where the answer is known."""

import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.tabular import read_events
from belfry.evaluation.reports.evaluation import to_markdown
from belfry.pipeline.jobs import evaluate
from belfry.pipeline.jobs.evaluate import evaluate_run, evaluate_stages, save_report
from belfry.pipeline.jobs.evaluate_table import evaluate_table
from belfry.pipeline.serving.recommender import Recommender
from tests.pipeline.small_recommender import NO_HISTORY, SEEN_ALL, SmallRecommender

SYSTEMS = ["popularity", "ItemKNN", "retrieval", "both stages"]


@pytest.fixture(scope="module")
def recommender():
    return SmallRecommender()


def events(pairs):
    users, items = zip(*pairs, strict=True)
    return pa.table({"user_id": [*users], "item_id": [*items]})


def unseen(recommender, user):
    """The items that a user has not seen, as ids."""
    history = recommender.features.history
    seen = history.seen_items.of(recommender.users.number(user))
    return recommender.items.take(np.setdiff1d(np.arange(1, len(recommender.items) + 1), seen)).to_pylist()


def means(report):
    return {system.name: {name: found.mean for name, found in system.metrics.items()} for system in report.systems}


def left_out(report):
    return {left.reason: left.n for left in report.left_out}


class TestRun:
    def test_metrics_by_hand(self, recommender):
        """What the second stage has at ranks 1 and 3 of one user, and nothing of another."""
        lists = recommender.recommend_many([1, 2], 12)
        first = lists.filter(pa.compute.equal(lists["user_id"], 1))["item_id"].to_pylist()
        last = lists.filter(pa.compute.equal(lists["user_id"], 2))["item_id"].to_pylist()[-1]
        report = evaluate_run(recommender, events([(1, first[0]), (1, first[2]), (2, last)]), n=3, seed=0)
        assert [system.name for system in report.systems] == SYSTEMS
        assert (report.run, report.split, report.seen_removed, report.n_users) == ("small-0", "test", True, 2)
        figures = means(report)["both stages"]
        ndcg = (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
        assert figures["ndcg@3"] == pytest.approx(ndcg / 2)
        assert figures["recall@3"] == pytest.approx(0.5)
        assert figures["mrr@3"] == pytest.approx(0.5)
        # The ranker turns retrieval's lists round: its last is the first there.
        assert means(report)["retrieval"]["mrr@3"] >= 0.5
        assert (report.difference.baseline, report.difference.system) == ("retrieval", "both stages")
        assert report.left_out == ()

    def test_the_loss_by_hand(self, recommender):
        """The first candidate of one user at its place, the last of another: all is found, and one is misplaced."""
        lists = recommender.recommend_many([1, 2], 12)
        first, second = (
            lists.filter(pa.compute.equal(lists["user_id"], user))["item_id"].to_pylist() for user in (1, 2)
        )
        report = evaluate_run(recommender, events([(1, first[0]), (2, second[-1])]), n=3, seed=0)
        found = report.attribution
        assert (found.n, found.depth) == (3, max(len(first), len(second)))
        parts = (found.reached, found.lost_by_retrieval, found.lost_by_ranking, found.candidate_recall)
        assert [part.mean for part in parts] == [0.5, 0, 0.5, 1]

    def test_a_length_beyond_the_catalogue_is_its_size(self, recommender):
        test = events([(1, unseen(recommender, 1)[0])])
        assert means(evaluate_run(recommender, test, n=10**9, seed=0)) == means(
            evaluate_run(recommender, test, n=len(recommender.items), seed=0)
        )

    def test_what_retrieval_cannot_bring_is_its_loss(self, recommender):
        last = recommender.items.ids[-1].as_py()  # has no neighbours
        found = evaluate_run(recommender, events([(1, last)]), n=3, seed=0).attribution
        assert (found.lost_by_retrieval.mean, found.candidate_recall.mean) == (1, 0)

    def test_blocks_change_nothing(self, recommender, monkeypatch):
        test = events([(user, item) for user in range(10, 40) for item in unseen(recommender, user)[:2]])
        whole = evaluate_run(recommender, test, n=3, seed=0)
        monkeypatch.setattr(evaluate, "USERS_PER_BLOCK", 4)
        assert means(evaluate_run(recommender, test, n=3, seed=0)) == means(whole)

    def test_who_is_left_out_and_why(self, recommender):
        fresh, seen = unseen(recommender, 1)[0], unseen(recommender, NO_HISTORY)
        seen = next(item for item in seen if item not in unseen(recommender, 1))
        rows = [(1, fresh), (1, seen), (1, "zz"), (2, "zz"), (NO_HISTORY, "a"), (SEEN_ALL, "a")]
        report = evaluate_run(recommender, events([*rows, (998, "a"), (999, "a"), (999, "zz")]), n=3, seed=0)
        assert report.n_users == 1
        assert left_out(report) == {
            "not in the training data (3 test rows)": 2,
            "no test row of an item that is in the catalogue and was not seen before": 2,
            "fewer than 1 earlier events": 1,
            "in part: 2 test rows of items outside of the catalogue": 2,
            "in part: 2 test rows of items that they had seen before": 2,
        }

    def test_repeats_are_judged_where_lists_may_hold_them(self, recommender):
        seen = [item for item in recommender.items.ids.to_pylist() if item not in unseen(recommender, 1)]
        test = events([(1, seen[0]), (1, unseen(recommender, 1)[0])])
        allowed = evaluate_run(recommender, test, repeats="allow", n=3, seed=0)
        assert [system.name for system in allowed.systems] == [*SYSTEMS[:2], "own items", *SYSTEMS[2:]]
        assert (allowed.repeats, allowed.seen_removed, allowed.left_out) == ("allow", False, ())
        assert means(allowed)["own items"]["recall@10"] == 0.5
        only = evaluate_run(recommender, test, repeats="only", n=3, seed=0)
        assert means(only)["own items"]["recall@10"] == 1
        assert "nothing but items that a user had already seen" in to_markdown(only)

    def test_where_all_was_seen_the_switch_is_named(self, recommender):
        seen = next(item for item in recommender.items.ids.to_pylist() if item not in unseen(recommender, 1))
        with pytest.raises(
            InputError, match=r"all test rows are of items that their users had seen before: .*--repeats"
        ):
            evaluate_run(recommender, events([(1, seen)]), n=3, seed=0)
        with pytest.raises(InputError, match=r"no test row is of an item that its user had seen before: .*--repeats"):
            evaluate_run(recommender, events([(1, unseen(recommender, 1)[0])]), repeats="only", n=3, seed=0)

    def test_min_history(self, recommender):
        counts = recommender.features.history.seen_items.count(np.arange(1, 41, dtype=np.int32))
        test = events([(user, item) for user in range(1, 41) for item in unseen(recommender, user)[:1]])
        report = evaluate_run(recommender, test, n=3, min_history=5, seed=0)
        enough = {user for user in range(1, 41) if counts[user - 1] >= 5} - {SEEN_ALL}
        assert report.n_users == len(enough)
        assert left_out(report) == {"fewer than 5 earlier events": 39 - len(enough)}

    def test_users_without_a_history_are_judged_by_their_cold_lists(self, recommender):
        """One whom the run knows, two strangers, one with a history; the cold want what is second among the popular."""
        wanted = recommender.recommend(99, 3)[1].item_id
        own = unseen(recommender, 1)[0]
        test = events([(NO_HISTORY, wanted), (99, wanted), (100, wanted), (1, own)])
        report = evaluate_run(recommender, test, n=3, min_history=0, seed=0)
        assert report.n_users == 4
        assert left_out(report) == {"judged without any history (cold)": 3}
        assert report.cold.n_users == 3
        of_cold = {system.name: system.metrics["ndcg@3"].mean for system in report.cold.systems}
        assert of_cold["both stages"] == of_cold["popularity"] == pytest.approx(1 / math.log2(3))
        assert of_cold["ItemKNN"] == 0
        alone = evaluate_run(recommender, events([(1, own)]), n=3, seed=0)
        assert alone.cold is None
        assert means(report)["both stages"]["ndcg@3"] == pytest.approx(
            (3 / math.log2(3) + means(alone)["both stages"]["ndcg@3"]) / 4
        )
        assert "## Users without a history" in to_markdown(report)
        assert "## Users without a history" not in to_markdown(alone)
        assert report.reliability == alone.reliability  # cold scores are no probabilities

    def test_a_run_of_ids_alone_judges_no_strangers(self):
        recommender = SmallRecommender()
        recommender.parts = replace(recommender.parts, reads_history=False)
        test = events([(99, "a"), (1, unseen(recommender, 1)[0])])
        report = evaluate_run(recommender, test, n=3, min_history=0, seed=0)
        assert left_out(report) == {"not in the training data (1 test rows)": 1}

    def test_nobody_to_judge(self, recommender):
        with pytest.raises(
            InputError, match=r"no user can be judged \(not in the training data \(1 test rows\): 1 users\)"
        ):
            evaluate_run(recommender, events([(999, "a")]), seed=0)
        with pytest.raises(InputError, match=r"no user can be judged \(no test row of an item .* before: 1 users;"):
            evaluate_run(recommender, events([(1, "zz")]), seed=0)
        with pytest.raises(InputError, match="test: has no rows; pass what users did after the training data"):
            evaluate_run(recommender, events([(1, "a")]).slice(1), seed=0)

    @pytest.mark.parametrize(
        ("test", "match"),
        [
            (
                pa.table({"user": [1], "item_id": ["a"]}),
                "column 'user_id' is missing; there are 'user', 'item_id': rename 'user' to 'user_id', or pass",
            ),
            (
                pa.table({"user_id": ["1"], "item_id": ["a"]}),
                "column 'user_id' is string, the ids learned from are int64",
            ),
            (pa.table({"user_id": [1], "item_id": [1]}), "column 'item_id' is int64, the ids learned from are string"),
        ],
    )
    def test_tables_that_are_refused(self, recommender, test, match):
        with pytest.raises(TableError, match=match):
            evaluate_run(recommender, test, seed=0)

    def test_only_watches_are_relevant(self, recommender):
        item = unseen(recommender, 1)[0]
        watch = pa.table({"user_id": [1], "item_id": [item]})
        shown = pa.table({"user_id": [1, 1, 2], "item_id": [item, *unseen(recommender, 1)[1:2], item]})
        shown = shown.append_column("event", pa.array([None, "shown", "SHOWN"]))
        assert means(evaluate_run(recommender, shown, seed=0)) == means(evaluate_run(recommender, watch, seed=0))
        with pytest.raises(TableError, match="test: none of 2 rows is a watch"):
            evaluate_run(recommender, shown.slice(1), seed=0)
        with pytest.raises(TableError, match="test: column 'event' is double; names of events are wanted here"):
            evaluate_run(recommender, watch.append_column("event", pa.array([1.5])), seed=0)

    def test_csv_ids_become_text_where_the_run_has_text(self, tmp_path):
        recommender = SmallRecommender(text_ids=True)
        (tmp_path / "test.csv").write_text("user_id,item_id\n1,a\n")
        table = read_events(tmp_path / "test.csv", recommender.users, recommender.items)
        assert table.schema.types == [pa.string(), pa.string()]


@pytest.fixture(scope="module")
def trained(tiny_run):
    return Recommender.load(tiny_run)


@pytest.fixture(scope="module")
def trained_report(trained, tiny_split):
    return evaluate_run(trained, tiny_split.test.to_table(), seed=0)


class TestTrainedRun:
    def test_both_stages_stand_beside_the_baselines(self, trained_report):
        assert [system.name for system in trained_report.systems] == SYSTEMS
        figures = means(trained_report)
        assert figures["both stages"]["ndcg@10"] > 0.5 * figures["popularity"]["ndcg@10"] > 0
        assert figures["retrieval"]["recall@100"] > 0.5
        # Final lists go no deeper than the candidates that are ranked in production.
        assert "recall@50" not in figures["both stages"]
        assert "recall@100" in figures["popularity"]

    def test_loss_and_probabilities(self, trained_report, trained, tiny_split):
        loss, reliability = trained_report.attribution, trained_report.reliability
        assert loss.reached.mean == pytest.approx(means(trained_report)["both stages"]["ndcg@10"])
        assert loss.reached.mean + loss.lost_by_retrieval.mean + loss.lost_by_ranking.mean == pytest.approx(1)
        assert loss.depth == 40
        assert reliability.n_rows <= 40 * trained_report.n_users
        assert reliability.brier < reliability.brier_of_constant
        assert reliability.bins[-1].observed > reliability.observed > reliability.bins[0].observed
        closed = evaluate_stages(
            replace(trained.two_stage, ranker=None), tiny_split.test, run="closed", split="test", seed=0
        )
        assert closed.reliability is None
        assert closed.attribution.lost_by_retrieval == loss.lost_by_retrieval  # the same candidates in another order
        assert closed.attribution.candidate_recall == loss.candidate_recall

    def test_places_that_the_ranker_never_saw_have_no_part_in_the_probabilities(self, trained, tiny_split):
        stages = replace(trained.two_stage, n_candidates=12)
        report = evaluate_stages(stages, tiny_split.test, run="deep", split="test", n=20, seed=0)
        assert report.reliability.n_rows <= 12 * report.n_users
        assert all(0 <= one.predicted <= 1 for one in report.reliability.bins)

    def test_final_metrics_are_those_of_the_lists_that_are_given_out(self, trained_report, trained, tiny_split):
        lists, items = trained.recommend_many(trained.users.ids, 10), pa.table({"item_id": trained.items.ids})
        judged = evaluate_table(lists, tiny_split.train.to_table(), tiny_split.test.to_table(), items=items, seed=0)
        table, final = means(judged)["table"], means(trained_report)["both stages"]
        for name in ("ndcg@10", "precision@10", "mrr@10", "hit_rate@10"):
            assert table[name] == pytest.approx(final[name]), name

    def test_a_run_is_judged_as_its_stages_are(self, trained_report, trained, tiny_split):
        stages = trained.two_stage
        again = evaluate_stages(stages, tiny_split.test, run=trained_report.run, split="test", seed=0)
        assert means(again) == means(trained_report)


class TestTable:
    TRAIN = events([(1, "a"), (1, "b"), (2, "a"), (2, "c"), (3, "b"), (3, "c"), (4, "a")])
    TEST = events([(1, "c"), (2, "b"), (3, "a")])

    def lists(self, rows):
        users, items, ranks = zip(*rows, strict=True)
        return pa.table({"user_id": [*users], "item_id": [*items], "rank": [*ranks]})

    def test_metrics_by_hand(self):
        lists = self.lists([(1, "c", 1), (2, "b", 1)])
        report = evaluate_table(lists, self.TRAIN, self.TEST, name="mine", n=1, seed=0)
        assert [system.name for system in report.systems] == ["popularity", "ItemKNN", "mine"]
        assert (report.difference.baseline, report.difference.system) == ("ItemKNN", "mine")
        assert report.n_users == 3
        assert report.attribution is None  # nobody knows its candidates
        assert means(report)["mine"]["ndcg@1"] == pytest.approx(2 / 3)  # user 3 has no list and counts with 0
        assert means(report)["popularity"]["ndcg@1"] == 1  # only one item is left for each

    def test_newcomers_of_a_table_are_judged_too(self):
        lists = self.lists([(1, "c", 1), (9, "a", 1)])
        later = events([(1, "c"), (9, "a"), (8, "b")])
        report = evaluate_table(lists, self.TRAIN, later, name="mine", n=1, min_history=0, seed=0)
        assert (report.n_users, report.cold.n_users) == (3, 2)
        of_cold = {system.name: system.metrics["ndcg@1"].mean for system in report.cold.systems}
        assert of_cold == {"popularity": 0.5, "ItemKNN": 0, "mine": 0.5}  # "a" is the most popular; user 8 has no list
        assert means(report)["mine"]["ndcg@1"] == pytest.approx(2 / 3)

    def test_seen_items_are_refused_or_allowed_everywhere(self):
        lists = self.lists([(1, "a", 1), (2, "b", 1), (3, "a", 1)])
        with pytest.raises(TableError, match=r"1 row with an item that its user has seen \(first in row 0\)"):
            evaluate_table(lists, self.TRAIN, self.TEST, n=1, seed=0)
        report = evaluate_table(lists, self.TRAIN, self.TEST, n=1, repeats="allow", seed=0)
        assert not report.seen_removed
        assert means(report)["table"]["ndcg@1"] == pytest.approx(2 / 3)
        assert means(report)["popularity"]["ndcg@1"] == pytest.approx(1 / 3)  # "a" for everybody

    def test_a_table_says_itself_what_its_lists_repeat(self):
        """Of a, b and c users 1 and 2 have seen two each; both come back to a."""
        lists = self.lists([(1, "a", 1), (2, "a", 1)])
        told = lists.replace_schema_metadata({"belfry.repeats": "only"})
        again = events([(1, "a"), (2, "a"), (3, "a")])
        report = evaluate_table(told, self.TRAIN, again, n=1, seed=0)
        assert (report.repeats, report.seen_removed, report.n_users) == ("only", False, 2)
        assert [system.name for system in report.systems] == ["popularity", "ItemKNN", "own items", "table"]
        assert means(report)["table"]["ndcg@1"] == 1
        assert left_out(report) == {
            "no test row of an item that is in the catalogue and was seen before": 1,
            "in part: 1 test rows of items that they had not seen before": 1,
        }
        with pytest.raises(TableError, match="2 rows with an item that its user has seen"):
            evaluate_table(told, self.TRAIN, events([(1, "c")]), repeats="exclude", n=1, seed=0)
        with pytest.raises(TableError, match=r"1 row with an item that its user has not seen \(first in row 0\)"):
            evaluate_table(self.lists([(1, "c", 1)]), self.TRAIN, again, repeats="only", n=1, seed=0)

    def test_other_users_of_the_table_do_not_count(self):
        lists = self.lists([(1, "c", 1), (4, "b", 1), (99, "a", 1)])
        report = evaluate_table(lists, self.TRAIN, self.TEST, n=1, seed=0)
        assert report.n_users == 3
        assert report.left_out == ()

    def test_the_catalogue_takes_in_the_items_table(self):
        lists = self.lists([(1, "new", 1)])
        with pytest.raises(TableError, match="an item that the catalogue lacks"):
            evaluate_table(lists, self.TRAIN, self.TEST, n=1, seed=0)
        items = pa.table({"item_id": ["a", "b", "c", "new"]})
        report = evaluate_table(lists, self.TRAIN, events([(1, "new")]), items=items, n=1, seed=0)
        assert means(report)["table"]["ndcg@1"] == 1


@pytest.fixture(scope="module")
def small_report(recommender):
    return evaluate_run(recommender, events([(1, unseen(recommender, 1)[0])]), n=3, seed=0)


class TestSaveReport:
    def test_both_files_and_nothing_else(self, small_report, tmp_path):
        folder = tmp_path / "small.evaluation"
        for _ in range(2):
            save_report(small_report, folder)
            assert sorted(path.name for path in folder.iterdir()) == ["evaluation.json", "evaluation.md"]
        assert json.loads((folder / "evaluation.json").read_text())["run"] == "small-0"
        assert (folder / "evaluation.md").read_text().startswith("# Evaluation of small-0\n")

    def test_a_published_run_is_left_alone(self, small_report, tmp_path):
        (tmp_path / "manifest.json").touch()
        with pytest.raises(InputError, match="is a published run, which nothing may be added to"):
            save_report(small_report, tmp_path)

    def test_a_missing_parent(self, small_report, tmp_path):
        with pytest.raises(InputError, match="its parent"):
            save_report(small_report, tmp_path / "missing" / "folder")

    def test_a_failure_keeps_the_earlier_report(self, small_report, tmp_path, monkeypatch):
        save_report(small_report, tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        monkeypatch.setattr(evaluate, "to_markdown", lambda report: "\udcff")
        with pytest.raises(UnicodeEncodeError):
            save_report(small_report, tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
