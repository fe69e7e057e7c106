"""Lists with repeats, from training to the table: what they hold, what the run keeps, and that they are better."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import belfry
from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import KINDS_OF_REPEATS, Repeats
from belfry.evaluation.reports.evaluation import EvaluationReport
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.evaluate import BOTH_STAGES, OWN_ITEMS, evaluate_run
from belfry.pipeline.serving.recommender import Recommender
from tests.pipeline.repeat_world import last_part, repeat_world

SETTINGS = (
    *("retrieval.kind=pure_svd", "retrieval.embedding_size=8", "n_candidates=60", "folds=3"),
    *("ranker.members=1", "ranker.epochs=30"),
)


@pytest.fixture(scope="module")
def parts() -> tuple[pa.Table, pa.Table]:
    return last_part(repeat_world(n_users=300))


@pytest.fixture(scope="module")
def runs(parts: tuple[pa.Table, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> dict[Repeats, Recommender]:
    """A run of each kind."""
    return {
        kind: belfry.train(parts[0], settings=SETTINGS, repeats=kind, artifacts=tmp_path_factory.mktemp(kind))
        for kind in KINDS_OF_REPEATS
    }


def figures(report: EvaluationReport) -> dict[str, float]:
    """NDCG@10 of each system."""
    return {system.name: system.metrics["ndcg@10"].mean for system in report.systems}


@pytest.mark.parametrize("kind", ["allow", "only"])
def test_lists_trained_for_repeats_are_better(
    kind: Repeats, runs: dict[Repeats, Recommender], parts: tuple[pa.Table, pa.Table]
) -> None:
    """Than those of a run that was not, asked for the same, and than the user's own items by count and recency."""
    trained = figures(evaluate_run(runs[kind], parts[1], seed=0))
    untrained = figures(evaluate_run(runs["exclude"], parts[1], repeats=kind, seed=0))
    assert trained[OWN_ITEMS] == untrained[OWN_ITEMS]
    assert trained[BOTH_STAGES] > untrained[BOTH_STAGES] + 0.05
    assert trained[BOTH_STAGES] >= trained[OWN_ITEMS]


@pytest.mark.parametrize("trained", KINDS_OF_REPEATS)
@pytest.mark.parametrize("asked", [None, *KINDS_OF_REPEATS])
def test_lists_hold_what_is_asked_for(
    trained: Repeats, asked: Repeats | None, runs: dict[Repeats, Recommender], tmp_path: Path
) -> None:
    """By default what the run was trained for; and the table says which."""
    recommender = runs[trained]
    kind = asked or trained
    result = write_batch(recommender, tmp_path / "out", n=5, repeats=asked)
    table = pq.read_table(result.path)
    assert table.schema.metadata[b"belfry.repeats"] == kind.encode()
    users, items = recommender.users.numbers(table["user_id"]), recommender.items.numbers(table["item_id"])
    is_seen = recommender.features.history.seen_items.contains(users, items)
    assert {"exclude": not is_seen.any(), "only": is_seen.all(), "allow": 0 < is_seen.mean() < 1}[kind]
    alone = recommender.recommend(3, 5, repeats=asked)
    rows = table.filter(pc.equal(table["user_id"], 3))
    assert [row.item_id for row in alone] == rows["item_id"].to_pylist()
    np.testing.assert_allclose([row.score for row in alone], rows["score"].to_numpy(), rtol=1e-5)


def test_the_run_keeps_what_it_was_trained_for(runs: dict[Repeats, Recommender]) -> None:
    for kind, recommender in runs.items():
        assert recommender.run.manifest.config["repeats"] == kind
        assert recommender.repeats == kind
        assert Recommender.load(recommender.run.folder).repeats == kind
        names = (recommender.run.folder / "serving" / "ranker" / "score_blend.json").read_text()
        assert ("repeat_times" in names) == (kind != "exclude")
        assert ("history" in (recommender.run.folder / "serving" / "sources.json").read_text()) == (kind != "exclude")


def test_fresh_events_are_what_a_new_user_can_come_back_to(runs: dict[Repeats, Recommender]) -> None:
    assert runs["only"].recommend(-1, 5) == []
    fresh = runs["only"].items.ids[:3].to_pylist()
    assert {row.item_id for row in runs["only"].recommend(-1, 5, history=fresh)} == set(fresh)
    assert not {row.item_id for row in runs["only"].recommend(-1, 5, history=fresh, repeats="exclude")} & set(fresh)


def test_reasons_name_what_was_had_before(runs: dict[Repeats, Recommender]) -> None:
    told = [row.because for user in range(1, 20) for row in runs["allow"].recommend(user, 3, explain=True)]
    features = {effect.feature for because in told if because for effect in because.features}
    assert features & {"how often you had it", "when you last had it"}


def test_two_runs_of_unlike_kinds_need_one_rule(
    runs: dict[Repeats, Recommender], parts: tuple[pa.Table, pa.Table]
) -> None:
    folders = [runs[kind].run.folder for kind in ("exclude", "allow")]
    with pytest.raises(InputError, match=r"differ in what lists hold .*: exclude, .*: allow\); name one rule"):
        belfry.compare(*folders, train=parts[0], test=parts[1])
    found = belfry.compare(*folders, train=parts[0], test=parts[1], repeats="allow")
    assert (found.settings.repeats, found.settings.seen_allowed) == ("allow", True)
    assert any("repeats: allow" in note for note in found.verification.notes)
    assert found.challengers[0].metrics[0].difference > 0.05
    assert belfry.compare(folders[1], folders[1], train=parts[0], test=parts[1]).settings.repeats == "allow"
    with pytest.raises(InputError, match="contradicts"):
        belfry.compare(*folders, train=parts[0], test=parts[1], repeats="only", seen_allowed=False)
