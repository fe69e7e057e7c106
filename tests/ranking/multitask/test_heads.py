"""Heads: arrays that are none of theirs, or of other items or features, are refused when they are loaded or asked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.layers.saved.files import read_arrays, write_arrays
from belfry.ranking.multitask.category_lifts import category_shares
from belfry.ranking.multitask.heads import HEADS_FILE, Heads
from belfry.ranking.multitask.ridge_head import RidgeHead
from tests.ranking.multitask_world import RATING, TINY, pairs, world

QUERY_SIZE = TINY.embedding_size


@pytest.fixture(scope="module")
def features() -> FeatureTables:
    return world()


@pytest.fixture
def heads(features: FeatureTables) -> Heads:
    n_rows, n_factors = len(features.history.items) + 1, 3
    head = RidgeHead(
        base=np.zeros(n_rows, np.float32),
        item_factors=np.ones((n_rows, n_factors), np.float32),
        embeddings=np.ones((n_rows, QUERY_SIZE), np.float32),
        counts=np.ones(n_rows, np.float32),
        count_slope=np.array(0, np.float32),
        affinity_slope=np.array(1, np.float32),
        lift_slopes=np.zeros(len(features.items.category_sizes), np.float32),
        query_slopes=np.zeros((QUERY_SIZE, n_factors), np.float32),
        feature_slopes=np.zeros((features.users.matrix.shape[1], n_factors), np.float32),
        activity_slopes=np.zeros(n_factors, np.float32),
        prior=np.ones(n_factors, np.float32),
        precision=np.ones(n_factors, np.float32),
        levels=np.array([1, 5], np.float32),
        centre=np.array(3, np.float32),
        scale=np.array(1, np.float32),
        thresholds=np.zeros(0, np.float32),
        steepness=np.array(1, np.float32),
    )
    shares = category_shares(features.items, features.history.item_counts)
    return Heads(TINY.model_copy(update={"tasks": (RATING,)}), [head], shares)


def expected(heads: Heads, features: FeatureTables) -> np.ndarray:
    asked = pairs(np.zeros(3, np.int32), np.arange(1, 4, dtype=np.int32))
    return heads.expected(asked, features, np.ones((len(asked.users), QUERY_SIZE), np.float32))


def test_they_come_back(heads: Heads, features: FeatureTables, tmp_path: Path) -> None:
    heads.save(tmp_path)
    found = Heads.load(tmp_path, heads.config)
    np.testing.assert_array_equal(expected(found, features), expected(heads, features))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("0/base", lambda array: array[:-1]),
        ("0/item_factors", lambda array: array[..., np.newaxis]),
        ("0/embeddings", lambda array: np.full_like(array, np.nan)),
        ("0/counts", lambda array: -array),
        ("0/query_slopes", lambda array: array[:, :-1]),
        ("0/precision", lambda array: 0 * array),
        ("0/scale", lambda array: 0 * array),
        ("0/levels", lambda array: array[:1]),
        ("0/thresholds", lambda array: np.ones(1, np.float32)),
        ("0/prior", lambda array: array.astype("U9")),
        ("category_shares", lambda array: -np.ones(3, np.float32)),
    ],
)
def test_arrays_of_another_form(
    name: str, change: Callable[[np.ndarray], np.ndarray], heads: Heads, tmp_path: Path
) -> None:
    heads.save(tmp_path)
    arrays = read_arrays(tmp_path / HEADS_FILE)
    write_arrays(tmp_path / HEADS_FILE, arrays | {name: change(arrays[name])})
    with pytest.raises(ArtifactError, match=r"heads\.npz: '.*' holds .*train again"):
        Heads.load(tmp_path, heads.config)
    write_arrays(tmp_path / HEADS_FILE, {other: array for other, array in arrays.items() if other != name})
    with pytest.raises(ArtifactError, match=rf"heads\.npz: the array '{name}' is missing"):
        Heads.load(tmp_path, heads.config)


def test_arrays_of_other_items(heads: Heads, features: FeatureTables, tmp_path: Path) -> None:
    heads.save(tmp_path)
    arrays = read_arrays(tmp_path / HEADS_FILE)
    of_items = ("base", "item_factors", "embeddings", "counts")
    write_arrays(tmp_path / HEADS_FILE, arrays | {f"0/{name}": arrays[f"0/{name}"][:-1] for name in of_items})
    with pytest.raises(ArtifactError, match=r"heads\.npz: is of .* n_items, the run has"):
        expected(Heads.load(tmp_path, heads.config), features)
