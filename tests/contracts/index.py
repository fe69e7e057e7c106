"""What every candidate index promises. A new one adds a subclass named Test...."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError, InputError

DIM = 8


def embeddings(n: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    """[n, dim] float32 as towers make them: a few directions matter, the rest is noise."""
    generator = np.random.default_rng(seed)
    directions = np.random.default_rng(99).standard_normal((min(dim, 12), dim))
    tastes = generator.standard_normal((n, len(directions))) @ directions
    return (tastes + 0.5 * generator.standard_normal((n, dim))).astype(np.float32)


def numbers(n: int) -> np.ndarray:
    return np.arange(1, n + 1, dtype=np.int32)


class IndexPromises:
    kind: Any  # the class under test

    @pytest.mark.parametrize("n_items", [1, 2, 9, 10, 11, 100])
    @pytest.mark.parametrize("top_k", [1, 10, 150])
    def test_finds_the_best_and_pads_what_is_not_there(self, n_items: int, top_k: int) -> None:
        vectors, queries = embeddings(n_items), embeddings(5, seed=1)
        item_num, score = self.kind.build(vectors, numbers(n_items)).search(queries, top_k)
        assert item_num.shape == score.shape == (5, top_k)
        assert (item_num.dtype, score.dtype) == (np.int32, np.float32)
        n_found = min(n_items, top_k)
        truth = queries @ vectors.T
        best = np.argsort(-truth, axis=1)[:, :n_found]
        assert (item_num[:, :n_found] == best + 1).all()
        np.testing.assert_allclose(score[:, :n_found], np.take_along_axis(truth, best, axis=1), rtol=1e-4, atol=1e-5)
        assert (item_num[:, n_found:] == 0).all()
        assert (score[:, n_found:] == -np.inf).all()

    def test_one_query_equals_its_row_in_a_batch(self) -> None:
        index, queries = self.kind.build(embeddings(100), numbers(100)), embeddings(20, seed=1)
        item_num, score = index.search(queries, 10)
        for row in range(20):
            alone_item_num, alone_score = index.search(queries[row : row + 1], 10)
            assert alone_item_num[0].tolist() == item_num[row].tolist()
            np.testing.assert_allclose(alone_score[0], score[row], rtol=1e-5)

    def test_no_queries(self) -> None:
        item_num, score = self.kind.build(embeddings(9), numbers(9)).search(embeddings(0), 3)
        assert item_num.shape == score.shape == (0, 3)

    def test_order_of_rows_does_not_matter(self) -> None:
        vectors, item_num, queries = embeddings(50), 3 * numbers(50), embeddings(5, seed=1)
        index = self.kind.build(vectors, item_num)
        backwards = self.kind.build(vectors[::-1], item_num[::-1])
        assert (index.search(queries, 10)[0] == backwards.search(queries, 10)[0]).all()

    def test_zero_and_duplicate_vectors_are_fine(self) -> None:
        vectors = np.concatenate([np.zeros((5, DIM), np.float32), np.ones((5, DIM), np.float32)])
        item_num, score = self.kind.build(vectors, numbers(10)).search(np.ones((1, DIM), np.float32), 10)
        assert sorted(item_num[0]) == list(range(1, 11))
        assert score[0].tolist() == [DIM] * 5 + [0] * 5
        assert not np.signbit(score).any()

    def test_save_and_load_keep_answers(self, tmp_path: Path) -> None:
        vectors, item_num, queries = embeddings(100), 2 * numbers(100), embeddings(5, seed=1)
        index = self.kind.build(vectors, item_num)
        index.save(tmp_path / "index")
        loaded = self.kind.load(tmp_path / "index", vectors, item_num)
        assert (len(loaded), loaded.mode, loaded.is_exact) == (100, index.mode, index.is_exact)
        for kept, found in zip(index.search(queries, 10), loaded.search(queries, 10), strict=True):
            assert (kept == found).all()

    def test_an_index_can_be_moved(self, tmp_path: Path) -> None:
        index = self.kind.build(embeddings(9), numbers(9))
        index.save(tmp_path / "here")
        (tmp_path / "here").rename(tmp_path / "there")
        assert len(self.kind.load(tmp_path / "there", embeddings(9), numbers(9))) == 9

    def test_other_vectors_than_those_it_was_built_of_are_refused(self, tmp_path: Path) -> None:
        self.kind.build(embeddings(9), numbers(9)).save(tmp_path / "index")
        for vectors in (embeddings(8), embeddings(9, dim=5)):
            with pytest.raises(ArtifactError, match=r"is of 9 items of 8 dimensions, the vectors are \d of \d"):
                self.kind.load(tmp_path / "index", vectors, numbers(len(vectors)))

    def test_saving_over_other_files_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with pytest.raises(ArtifactError, match="is not empty; save into a new folder"):
            self.kind.build(embeddings(9), numbers(9)).save(tmp_path)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_vectors_that_are_not_finite_are_refused_by_item(self, value: float) -> None:
        vectors = embeddings(9)
        vectors[[2, 7], 3] = value
        with pytest.raises(InputError, match=r"2 vectors hold NaN or infinity \(items \[30, 80\], rows \[2, 7\]\)"):
            self.kind.build(vectors, 10 * numbers(9))

    def test_an_item_twice_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"1 item numbers come twice \(first \[4\]\)"):
            self.kind.build(embeddings(3), np.array([4, 5, 4]))

    def test_the_unknown_item_is_refused(self) -> None:
        with pytest.raises(InputError, match="item number 0 cannot be recommended"):
            self.kind.build(embeddings(3), np.arange(3))

    @pytest.mark.parametrize(
        ("vectors", "n_numbers", "message"),
        [
            (embeddings(0), 0, "no vectors"),
            (embeddings(3), 2, "3 vectors for 2 item numbers"),
            (np.zeros(3, np.float32), 3, r"vectors have shape \(3,\)"),
            (np.zeros((3, 0), np.float32), 3, r"vectors have shape \(3, 0\)"),
        ],
    )
    def test_vectors_of_a_wrong_shape_are_refused(self, vectors: np.ndarray, n_numbers: int, message: str) -> None:
        with pytest.raises(InputError, match=message):
            self.kind.build(vectors, numbers(n_numbers))

    @pytest.mark.parametrize(
        ("queries", "top_k", "message"),
        [
            (embeddings(2, dim=5), 3, r"queries have shape \(2, 5\), the indexed vectors have 8 dimensions"),
            (embeddings(1)[0], 3, r"queries have shape \(8,\), the indexed vectors have 8 dimensions"),
            (np.full((2, DIM), np.nan, np.float32), 3, r"2 queries hold NaN or infinity \(first in row 0\)"),
            (embeddings(2), 0, "top_k is 0; ask for at least 1"),
        ],
    )
    def test_unusable_queries_are_refused(self, queries: np.ndarray, top_k: int, message: str) -> None:
        with pytest.raises(InputError, match=message):
            self.kind.build(embeddings(9), numbers(9)).search(queries, top_k)
