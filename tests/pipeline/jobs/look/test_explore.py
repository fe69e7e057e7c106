"""`belfry explore` of a small run: places, neighbours, lists, importance, and the verb."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from belfry import Recommender
from belfry.dataset.errors import ArtifactError, InputError
from belfry.pipeline.cli.commands import app
from belfry.pipeline.jobs.look.explore import explore
from belfry.pipeline.jobs.look.importance import importances
from belfry.pipeline.jobs.look.item_map import check_library, item_map, shown_items
from belfry.pipeline.jobs.look.shown_users import show_users, users_to_show, users_with_later
from belfry.pipeline.jobs.look.training_notes import TrainingNotes
from tests.pipeline.small_recommender import SmallRecommender, run_called


@pytest.fixture(scope="module")
def recommender(tiny_run: Path) -> Recommender:
    return Recommender.load(tiny_run)


@pytest.fixture
def projected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A projection that takes no time and no library."""
    ways = {"first two": (lambda directions, near, seed: directions[:, :2].astype(np.float64), "As they are.")}
    monkeypatch.setattr("belfry.pipeline.jobs.look.item_map._WAYS", ways)


def test_neighbours_on_the_map_are_those_of_similar_items(recommender: Recommender, projected: None) -> None:
    items = shown_items(recommender, 10_000)
    counts = recommender.features.history.item_counts[items]
    assert (np.diff(counts) <= 0).all()
    found = item_map(recommender, items, [None] * len(items), [], seed=0)
    for place in (0, len(items) - 1):
        similar = recommender.similar_items(found.ids[place], 10)
        assert [found.ids[other] for other in found.neighbours[place]] == [one.item_id for one in similar]
        assert found.cosines[place] == pytest.approx([one.similarity for one in similar], abs=2e-3)
    (plane,) = found.projections
    assert max(plane.x) == plane.SIZE
    assert min(plane.x) == min(plane.y) == 0
    assert len(plane.x) == len(items)


def test_a_map_of_a_part_finds_neighbours_in_that_part(recommender: Recommender, projected: None) -> None:
    items = shown_items(recommender, 20)
    found = item_map(recommender, items, [None] * 20, [], seed=0)
    assert found.n_left_out == len(recommender.items) - 20
    assert {other for row in found.neighbours for other in row} <= set(range(20))


def test_users_are_shown_from_short_to_long_histories(recommender: Recommender) -> None:
    users = users_to_show(recommender, users_with_later(recommender, None), 5, seed=0)
    counts = recommender.features.history.seen_items.count(users)
    assert len(users) == 5
    assert (np.diff(counts) >= 0).all()


def test_lists_are_those_that_the_run_gives(recommender: Recommender) -> None:
    users = users_to_show(recommender, users_with_later(recommender, None), 2, seed=0)
    titles = recommender.titles.to_pylist()
    for one in show_users(recommender, users, titles, None, n=5):
        retrieval = recommender.recommend_many([one.user_id], 5, stage="retrieval").to_pylist()
        assert [listed.score for listed in one.retrieval] == pytest.approx(
            [row["score"] for row in retrieval], abs=1e-5
        )
        assert one.n_test is None
        if recommender.two_stage.ranker:
            final = recommender.recommend(one.user_id, 5)
            assert [listed.score for listed in one.ranking] == pytest.approx([listed.score for listed in final])
            assert [listed.title for listed in one.ranking] == [listed.title or str(listed.item_id) for listed in final]


def test_without_a_ranker_or_features_there_is_no_importance() -> None:
    small = SmallRecommender()
    assert (
        importances(small, np.array([1], np.int32), None) == "The ranker of this run reads no features of candidates."
    )


def test_notes_of_another_form_are_refused_in_words() -> None:
    run = run_called("small-0")
    assert TrainingNotes.of(run).curves == {}
    broken = run.manifest.model_copy(
        update={"notes": {"curves": {"ranker": {"metric": "x", "epochs": [{"epoch": "?"}]}}}}
    )
    with pytest.raises(ArtifactError, match=r"curves\.ranker\.epochs\.0\.epoch"):
        TrainingNotes.of(type(run)(run.folder, broken))


def test_a_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(InputError, match=r"pip install 'belfry-recommender\[explore\]'"):
        check_library()


def test_the_verb_writes_the_page_and_prints_json(tiny_run: Path, tmp_path: Path, projected: None) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install .[explore]")
    out = tmp_path / "page.html"
    asked = ["explore", "--artifacts", str(tiny_run), "--out", str(out), "--quiet", "--json", "--users", "2"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert len(found["users"]) == 2
    assert found["curves"]
    assert found["sources"][0]["name"] == "two_tower"
    assert out.stat().st_size < 8_000_000


def test_a_run_is_named_once(tiny_run: Path) -> None:
    result = CliRunner().invoke(app, ["explore", str(tiny_run), "--artifacts", str(tiny_run)])
    assert result.exit_code == 2
    assert "RUN and --artifacts are the same" in result.output


@pytest.mark.slow
def test_both_maps_keep_what_is_alike_together(tiny_run: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install .[explore]")
    pytest.importorskip("numba", reason="umap-learn is not installed: pip install .[explore]")
    found = explore(tiny_run, n_users=1).item_map
    for plane in found.projections:
        places = np.stack([plane.x, plane.y], axis=1).astype(np.float64)
        to_nearest = [np.linalg.norm(places[item] - places[row[0]]) for item, row in enumerate(found.neighbours)]
        to_any = np.linalg.norm(places[:, None] - places[None], axis=-1).mean()
        assert np.median(to_nearest) < 0.5 * to_any
    assert {plane.name for plane in found.projections} >= {"t-SNE"}
