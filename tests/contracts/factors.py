"""What towers made of arrays promise beside what every retriever does. A new one adds a subclass named Test...."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.registry import KINDS, make_towers
from tests.contracts.checkerboard import Checkerboard, checkerboard, features_of
from tests.contracts.retriever import RetrieverPromises

USERS, ITEMS = np.arange(25, dtype=np.int32), np.arange(13, dtype=np.int32)  # of the checkerboard, with the unknown


class FactorTowersPromises(RetrieverPromises):
    config: Any  # of a model that learns the checkerboard
    folds_in = True  # a user is what their history is when asked
    tells_epochs = True  # training goes in epochs and says so

    def trained(self, history: Interactions, features: FeatureTables, *, seed: int = 0) -> Any:
        return make_towers(self.config).fit(history, features, seed=seed)

    def fitted(self, history: Interactions, features: FeatureTables) -> IndexedRetriever:
        towers, items = self.trained(history, features), np.arange(1, len(history.items) + 1, dtype=np.int32)
        return IndexedRetriever(towers, ExactIndex.build(towers.encode_candidates(items, features), items))

    @pytest.fixture
    def towers(self, board: Checkerboard) -> Any:
        return self.trained(board.history, board.features)

    def test_equal_seeds_give_equal_vectors_and_a_refit_forgets(self, towers: Any, board: Checkerboard) -> None:
        other = checkerboard(n_users=10, n_items=8)
        again = self.trained(other.history, other.features, seed=3).fit(board.history, board.features, seed=0)
        assert_same_vectors(towers, again, board.features)

    def test_save_and_load_keep_vectors(self, towers: Any, board: Checkerboard, tmp_path: Path) -> None:
        towers.save(tmp_path / "model")
        loaded = type(towers).load(tmp_path / "model")
        assert loaded.config == towers.config
        assert_same_vectors(towers, loaded, board.features)

    def test_the_serving_form_gives_the_same_queries(self, towers: Any, board: Checkerboard, tmp_path: Path) -> None:
        towers.export(tmp_path / "served", board.features)
        vectors = towers.encode_candidates(ITEMS, board.features)
        served = KINDS[self.config.kind].load_towers(tmp_path / "served", self.config, vectors)
        assert_same_vectors(towers, served, board.features)

    def test_vectors_are_finite_single_precision(self, towers: Any, board: Checkerboard) -> None:
        for vectors in (
            towers.encode_queries(USERS, board.features),
            towers.encode_candidates(ITEMS, board.features),
        ):
            assert vectors.dtype == np.float32
            assert np.isfinite(vectors).all()

    def test_fresh_watches_count_at_once(self, towers: Any, board: Checkerboard) -> None:
        """User 2 turns out to be user 1 in all that they do."""
        if not self.folds_in:
            pytest.skip("declared: users have vectors of their own")
        history = board.history
        theirs = history.select(history.user_num == 1)
        changed = Interactions(history.users, history.items, np.full(len(theirs), 2, np.int32), theirs.item_num)
        queries = towers.encode_queries(np.array([2], np.int32), features_of(changed))
        np.testing.assert_allclose(
            queries @ towers.encode_candidates(ITEMS[1:], board.features).T,
            towers.encode_queries(np.array([1], np.int32), board.features)
            @ towers.encode_candidates(ITEMS[1:], board.features).T,
            atol=1e-3,
        )

    def test_progress_is_told_of_every_epoch(self, board: Checkerboard) -> None:
        if not self.tells_epochs:
            pytest.skip("declared: knows no epochs")
        told: list[tuple[int, int]] = []
        config = self.config.model_copy(update={"epochs": 3})
        make_towers(config).fit(
            board.history, board.features, seed=0, progress=lambda done, total: told.append((done, total))
        )
        assert told == [(1, 3), (2, 3), (3, 3)]

    def test_reading_before_fit_is_refused(self, board: Checkerboard) -> None:
        with pytest.raises(InputError, match=rf"{self.config.kind}: not fitted; call fit\(\) or load\(\) first"):
            make_towers(self.config).encode_queries(board.users, board.features)


def assert_same_vectors(one: Any, other: Any, features: FeatureTables) -> None:
    np.testing.assert_array_equal(one.encode_queries(USERS, features), other.encode_queries(USERS, features))
    np.testing.assert_array_equal(one.encode_candidates(ITEMS, features), other.encode_candidates(ITEMS, features))
