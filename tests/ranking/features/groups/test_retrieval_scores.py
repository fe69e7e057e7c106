"""RetrievalScores: what sources say of the rows that they brought, and of those that they did not."""

from dataclasses import replace

import numpy as np

from belfry.ranking.features.pair_features import PairFeatures
from tests.ranking.features.world import CONFIG, candidates_for, matrix_of, random_world


def test_a_row_that_a_source_did_not_bring_comes_behind_its_list() -> None:
    """And a source that brought nothing says nothing."""
    world = random_world()
    candidates = candidates_for(world, [4, 9], n=3)
    nan = np.nan
    score = np.array([[5, 1, nan], [4, nan, nan], [2, 3, nan], [nan, nan, nan], [7, nan, nan], [6, 2, nan]], np.float32)
    rank = np.array([[1, 2, 0], [2, 0, 0], [9, 1, 0], [0, 0, 0], [1, 0, 0], [2, 1, 0]], np.int32)
    many = replace(candidates, origins=("towers", "popularity", "ease"), source_score=score, source_rank=rank)
    pair_features = PairFeatures.fit(world, CONFIG)
    names = pair_features.names(world, many.sources)
    columns = dict(zip(names, pair_features.matrix(many, world).T, strict=True))
    assert columns["score_towers"].tolist() == [5, 4, 2, 6, 7, 6]
    assert columns["score_popularity"].tolist() == [1, 1, 3, 2, 2, 2]
    assert columns["score_ease"].tolist() == [0] * 6
    ranks = {name: np.expm1(columns[f"log_rank_in_{name}"]).round(4).tolist() for name in many.sources}
    assert ranks == {"towers": [1, 2, 9, 3, 1, 2], "popularity": [2, 3, 1, 2, 2, 1], "ease": [1] * 6}
    plain = matrix_of(world, candidates)
    assert len(set(names)) == len(names) == len(plain) + 6
    for name, column in plain.items():
        np.testing.assert_array_equal(columns[name], column, err_msg=name)


def test_no_rows_of_many_sources_have_their_columns() -> None:
    world = random_world()
    nobody = candidates_for(world, [1]).select(np.zeros(0, np.int64))
    nothing = np.zeros((0, 2), np.float32)
    many = replace(nobody, origins=("a", "b"), source_score=nothing, source_rank=nothing.astype(np.int32))
    pair_features = PairFeatures.fit(world, CONFIG)
    assert pair_features.matrix(many, world).shape == (0, len(pair_features.names(world, ("a", "b"))))
