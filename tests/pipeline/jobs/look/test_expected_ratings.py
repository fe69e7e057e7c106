"""What a run expects of ratings that were given: of the right pairs, and of what was held out where there is any."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry import Recommender
from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.reading import AS_IT_IS
from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.jobs.look.expected_ratings import expected_ratings
from belfry.pipeline.jobs.look.held_out import held_out
from tests.pipeline.small_recommender import SmallRecommender

OFF = 0.5
IDS = Vocabulary(pa.array(range(1, 31)))


@dataclass(frozen=True)
class OffByHalf:
    """Expects of each pair half a point more than `truth` says, and something else of another label."""

    truth: dict[tuple[int, int], float]
    label_names: tuple[str, ...] = ("liked", "rating")

    def expected(self, candidates: Candidates, features: FeatureTables) -> np.ndarray:
        pairs = zip(candidates.user_num.tolist(), candidates.item_num.tolist(), strict=True)
        return np.array([(99, self.truth[pair] + OFF) for pair in pairs], np.float32)


def rated(n_values: int, seed: int) -> Interactions:
    """Ratings of half of all pairs, and as many events without one."""
    random = np.random.default_rng(seed)
    pairs = random.permutation(900)[:450]
    rating = random.integers(1, n_values + 1, 450).astype(np.float32)
    rating[::2] = np.nan
    return Interactions(IDS, IDS, (pairs // 30 + 1).astype(np.int32), (pairs % 30 + 1).astype(np.int32), rating=rating)


def recommender_of(history: Interactions, *others: Interactions) -> Recommender:
    truth = {
        (int(user), int(item)): float(rating)
        for events in (history, *others)
        if events.rating is not None
        for user, item, rating in zip(events.user_num, events.item_num, events.rating, strict=True)
    }
    two_stage = SimpleNamespace(ranker=SimpleNamespace(labels=OffByHalf(truth)))
    features = FeatureTables(history, FeatureColumns(), FeatureColumns())
    return cast(Recommender, SimpleNamespace(two_stage=two_stage, features=features))


@pytest.mark.parametrize("n_values", [5, 40])
def test_each_rating_is_beside_what_is_expected_of_its_pair(n_values: int) -> None:
    history = rated(n_values, seed=0)
    assert history.rating is not None
    true = history.rating[history.rated_rows]
    found = expected_ratings(recommender_of(history), None, seed=0)
    assert not isinstance(found, str)
    assert (found.is_held_out, found.n, len(found.groups)) == (False, 225, min(n_values, 10))
    assert found.rmse == pytest.approx(OFF)
    assert found.rmse_of_mean == pytest.approx(float(true.std()))
    assert sum(group.n for group in found.groups) == 225
    assert [group.true for group in found.groups] == sorted(group.true for group in found.groups)
    assert all(group.mean == pytest.approx(group.true + OFF) for group in found.groups)


def test_what_was_held_out_is_asked_where_it_has_ratings() -> None:
    history, test = rated(5, seed=0), rated(3, seed=1)
    overlapping = recommender_of(history, test)
    found = expected_ratings(overlapping, test, seed=0)
    assert not isinstance(found, str)
    assert (found.is_held_out, len(found.groups), found.rmse) == (True, 3, pytest.approx(OFF))
    found = expected_ratings(recommender_of(history), replace(test, rating=None), seed=0)
    assert not isinstance(found, str)
    assert not found.is_held_out


def test_why_there_is_none_is_said() -> None:
    history = rated(5, seed=0)
    assert expected_ratings(recommender_of(replace(history, rating=None)), None, seed=0) == "The run has no ratings."
    blind = recommender_of(history)
    blind.two_stage.ranker.labels = replace(blind.two_stage.ranker.labels, label_names=("liked",))  # type: ignore[union-attr]
    assert str(expected_ratings(blind, None, seed=0)).startswith("No model of this run expects ratings")


class Holding(SmallRecommender):
    """Its run has a file."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        manifest = SimpleNamespace(files={"split/test.parquet": None})
        path = SimpleNamespace(read_bytes=lambda: content)
        self.run = SimpleNamespace(manifest=manifest, path=lambda name: path)  # type: ignore[assignment]


def test_later_events_are_those_of_a_table_or_of_the_run(tmp_path: Path) -> None:
    table = pa.table({"user_id": [1, 2], "item_id": ["a", "b"], "rating": [4.0, None]})
    pq.write_table(table, tmp_path / "later.parquet")
    assert held_out(SmallRecommender(), None, AS_IT_IS) is None
    of_table = held_out(SmallRecommender(), tmp_path / "later.parquet", AS_IT_IS)
    of_run = held_out(Holding((tmp_path / "later.parquet").read_bytes()), None, AS_IT_IS)
    for found in (of_table, of_run):
        assert found is not None and found.rating is not None
        assert (found.user_num.tolist(), found.item_num.tolist(), found.rated_rows.tolist()) == ([1, 2], [1, 2], [0])
    with pytest.raises(ArtifactError, match="is no table of watches"):
        held_out(Holding(b"PAR1"), None, AS_IT_IS)
