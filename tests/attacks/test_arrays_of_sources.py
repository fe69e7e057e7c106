"""Arrays of sources with whole hashes and wrong content: refused at loading, by the name of the array."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError
from belfry.layers.saved.array_check import check_arrays, counts, numbers
from belfry.layers.saved.files import read_arrays, write_arrays
from belfry.retrieval.models.als import ALS, ALSConfig
from belfry.retrieval.models.ease import EASE, EASEConfig
from belfry.retrieval.models.factors import ITEM_FACTORS
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from belfry.retrieval.popularity import SCORES_FILE, Popularity, PopularityConfig

N = 6  # items, and the unknown one


def a_nan(array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    changed.flat[-1] = np.nan
    return changed


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "text": lambda array: np.full(array.shape, "a"),
    "whole numbers": lambda array: array.astype(np.int32),
    "one row": lambda array: array[0],
    "another axis": lambda array: array[..., np.newaxis],
    "NaN": a_nan,
    "infinity": lambda array: np.full_like(array, -np.inf),
    "huge": lambda array: np.full_like(array, 3e38),
}


def saved(model: Any, learned: object, folder: Path) -> Path:
    model._learned = learned
    model.save(folder)
    return folder


def table(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_table_of_another_form(change: Callable[[np.ndarray], np.ndarray], tmp_path: Path) -> None:
    folder = saved(EASE(EASEConfig()), {"weights": table(N, N)}, tmp_path)
    assert EASE.load(folder).learned["weights"].shape == (N, N)
    np.save(folder / "weights.npy", change(table(N, N)))
    with pytest.raises(ArtifactError, match=r"'weights' holds .*train again"):
        EASE.load(folder)


def test_a_table_that_is_not_square(tmp_path: Path) -> None:
    folder = saved(EASE(EASEConfig()), {"weights": table(N, N - 1)}, tmp_path)
    with pytest.raises(ArtifactError, match=r"shape \(6, 5\), wanted floating point of the shape \(6, 6\)"):
        EASE.load(folder)


def test_weights_that_are_no_neighbours(tmp_path: Path) -> None:
    rows = {"start": np.array([0, 0, 1, 2]), "scored": np.array([1, 2]), "weight": table(2)}
    folder = saved(ItemKNN(ItemKNNConfig()), rows, tmp_path)
    ItemKNN.load(folder)
    for name, wrong in {
        "start": np.array([[0, 1, 2]]),
        "scored": np.array([1, -1]),
        "weight": table(3),
    }.items():
        for key, array in (rows | {name: wrong}).items():
            np.save(folder / f"{key}.npy", array)
        with pytest.raises(ArtifactError, match=rf"{name}' holds .*train again"):
            ItemKNN.load(folder)


def test_factors_of_other_items_or_dimensions_than_the_vectors(tmp_path: Path) -> None:
    towers = ALS.load(saved(ALS(ALSConfig()), {ITEM_FACTORS: table(N, 3)}, tmp_path))
    towers.check_vectors(table(N, 3))
    for vectors in (table(N - 1, 3), table(N, 4)):
        with pytest.raises(ArtifactError, match=r"'item_factors' have the shape \(6, 3\), the vectors of the items"):
            towers.check_vectors(vectors)


def test_popularity_of_other_items_or_groups(tiny_data: Any, tmp_path: Path) -> None:
    features = tiny_data.features(tiny_data.interactions)
    fitted = Popularity(PopularityConfig(segment_smoothing=5)).fit(tiny_data.interactions, features, seed=0)
    fitted.save(tmp_path)
    arrays = read_arrays(tmp_path / SCORES_FILE)
    users = np.arange(3, dtype=np.int32)
    for name, wrong in {
        "lifts/gender": arrays["lifts/gender"][:-1],
        "lifts/shoes": arrays["lifts/gender"],
    }.items():
        write_arrays(tmp_path / SCORES_FILE, arrays | {name: wrong})
        with pytest.raises(ArtifactError, match=r"popularity: scores\.npz is of other items or groups"):
            Popularity.load(tmp_path).retrieve(users, features, top_k=3, exclude=features.history.seen_items)
    for name, wrong in {"lifts/gender": a_nan(arrays["lifts/gender"]), "score": arrays["score"][:-1]}.items():
        write_arrays(tmp_path / SCORES_FILE, arrays | {name: wrong})
        with pytest.raises(ArtifactError, match=r"scores\.npz: 'lifts/.*' holds"):
            Popularity.load(tmp_path)


def test_forms() -> None:
    forms = {"a": numbers("rows", 2), "b": counts("rows")}
    check_arrays("x", {"a": np.ones((3, 2)), "b": np.arange(3), "c": np.array("z")}, forms)
    check_arrays("x", {"a": np.ones((0, 2)), "b": np.arange(0)}, forms)
    with pytest.raises(ArtifactError, match="x: the array 'b' is missing"):
        check_arrays("x", {"a": np.ones((3, 2))}, forms)
    with pytest.raises(ArtifactError, match=r"x: 'a' holds float64 of the shape \(3, 1\).*\(3, 2\)"):
        check_arrays("x", {"a": np.ones((3, 1)), "b": np.arange(3)}, forms)
    with pytest.raises(
        ArtifactError, match=r"x: 'b' holds int64 of the shape \(4,\), wanted integers of the shape \(3\)"
    ):
        check_arrays("x", {"a": np.ones((3, 2)), "b": np.arange(4)}, forms)
