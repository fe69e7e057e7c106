"""A run of each kind of source and ranker is updated with new users and items, twice; what was learned stays."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import belfry
from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.kinds import RANKER_KINDS, SOURCE_KINDS
from tests.pipeline.jobs.updating.world import LIGHT, events, items, later, train
from tests.pipeline.test_kinds import SLOW_RANKERS, each, quick

SLOW_SOURCES = {"two_tower", "report", "feed_forward_mf", "autoencoder", "rbm", "multitask", "sequence"}
FRESH = [(1, 4), (1, 7), (1, 3), (9, 9), (2, 3)]  # users 1 and 9 are new, so are items 3, 7 and 9
UNTOUCHED = pa.array(list(range(4, 61, 2)))


def queries_of(recommender: belfry.Recommender, users: pa.Array) -> np.ndarray:
    numbers = recommender.users.numbers(users)
    return recommender.two_stage.towers.encode_queries(numbers, recommender.features)


def updated_twice(artifacts: Path) -> belfry.Recommender:
    """Every answer is asked for on the way, by the smoke test of each publication."""
    update(artifacts, later(FRESH), items([3]))
    update(artifacts, later([(5, 5), (1, 6)], days=62))
    return belfry.Recommender.load(artifacts)


@pytest.mark.parametrize("kind", each(SOURCE_KINDS, SLOW_SOURCES))
def test_source(kind: str, tmp_path: Path) -> None:
    row, few = SOURCE_KINDS[kind], ("n_candidates=10", "folds=2", "ranker=none")
    if not row.has_vectors:
        before = train(tmp_path, *few, *LIGHT[:2], f'sources=[{{model={{kind="{kind}"}}}}]', items=items())
    else:
        own = quick("retrieval", kind, list(row.config.model_fields))
        before = train(tmp_path, *few, "sources=[]", *own, items=items())
    after = updated_twice(tmp_path)
    assert after.recommend(1, 5)
    if row.is_closed_form:
        return
    np.testing.assert_array_equal(
        after.two_stage.vectors[after.items.numbers(before.items.ids)], before.two_stage.vectors[1:]
    )
    tolerance = 0.1 if kind == "sequence" else 0  # which reads the time of the newest event
    np.testing.assert_allclose(queries_of(after, UNTOUCHED), queries_of(before, UNTOUCHED), atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", each(RANKER_KINDS, SLOW_RANKERS))
def test_ranker(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = quick("ranker", kind, list(RANKER_KINDS[kind].config.model_fields))
    train(tmp_path, "n_candidates=10", "folds=2", *LIGHT[:2], "sources=[]", *own, items=items(), interactions=events())
    after = updated_twice(tmp_path)
    assert len(after.recommend_many(after.users.ids, 5)) > len(after.users)
