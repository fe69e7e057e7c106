"""What every retriever promises. A new one adds a subclass named Test..., which declares what it cannot do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.repeats import kept_out
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from tests.contracts.checkerboard import Checkerboard, checkerboard

UNKNOWN_USER = np.zeros(1, np.int32)


class RetrieverPromises:
    learns_checkerboard = True  # finds each user's withheld item first
    answers_unknown = True  # has a list for user number 0, not an empty one
    scores_alone = True  # an item's score does not depend on what else may be listed

    def fitted(self, history: Interactions, features: FeatureTables) -> Any:
        raise NotImplementedError

    def kept_out(self, board: Checkerboard) -> SeenItems:
        """What the lists leave out in most tests."""
        return board.history.seen_items

    @pytest.fixture
    def board(self) -> Checkerboard:
        return checkerboard()

    @pytest.fixture
    def retriever(self, board: Checkerboard) -> Any:
        return self.fitted(board.history, board.features)

    def test_no_seen_item_no_duplicate_and_ranks_from_one(self, retriever: Any, board: Checkerboard) -> None:
        candidates = retriever.retrieve(board.users, board.features, top_k=50, exclude=self.kept_out(board))
        assert len(candidates) > 0
        for position, user in enumerate(board.users):
            rows = slice(*candidates.starts[position : position + 2])
            items = candidates.item_num[rows]
            assert not np.isin(items, self.kept_out(board).of(user)).any()
            assert len(np.unique(items)) == len(items)
            assert ((items >= 1) & (items <= len(board.history.items))).all()
            assert candidates.rank[rows].tolist() == list(range(1, len(items) + 1))
            assert (np.diff(candidates.score[rows]) <= 0).all()

    def test_no_more_than_asked_for(self, retriever: Any, board: Checkerboard) -> None:
        candidates = retriever.retrieve(board.users, board.features, top_k=1, exclude=self.kept_out(board))
        assert candidates.rank.max() == 1

    def test_one_user_equals_their_row_in_a_batch(self, retriever: Any, board: Checkerboard) -> None:
        asked = board.users[::-1]
        batch = retriever.retrieve(asked, board.features, top_k=5, exclude=self.kept_out(board))
        for position, user in enumerate(asked):
            rows = slice(*batch.starts[position : position + 2])
            alone = retriever.retrieve(
                np.array([user], np.int32), board.features, top_k=5, exclude=self.kept_out(board)
            )
            assert alone.item_num.tolist() == batch.item_num[rows].tolist()
            np.testing.assert_allclose(alone.score, batch.score[rows], rtol=1e-5, atol=1e-6)

    def test_unknown_user(self, retriever: Any, board: Checkerboard) -> None:
        candidates = retriever.retrieve(UNKNOWN_USER, board.features, top_k=3, exclude=self.kept_out(board))
        assert candidates.users.tolist() == [0]
        assert len(candidates) == (3 if self.answers_unknown else 0)

    def test_only_some_may_be_chosen(self, retriever: Any, board: Checkerboard) -> None:
        only = np.array([3, 1, 8, 8, 6, 11], np.int32)
        asked = {"top_k": 50, "exclude": self.kept_out(board)}
        whole = retriever.retrieve(board.users, board.features, **asked)
        expected = whole.select(np.isin(whole.item_num, only))
        found = retriever.retrieve(board.users, board.features, only=only, **asked)
        assert found.row_user.tolist() == expected.row_user.tolist()
        if self.scores_alone:
            assert found.item_num.tolist() == expected.item_num.tolist()
        assert pairs_of(found) == pairs_of(expected)
        best = retriever.retrieve(board.users, board.features, top_k=1, exclude=asked["exclude"], only=only)
        assert best.item_num.tolist() == found.item_num[found.rank == 1].tolist()
        assert len(retriever.retrieve(board.users, board.features, only=only[:0], **asked)) == 0

    def test_repeats_alone_are_the_seen_ones_of_all(self, retriever: Any, board: Checkerboard) -> None:
        everything = kept_out(board.history, "allow")
        whole = retriever.retrieve(board.users, board.features, top_k=50, exclude=everything)
        expected = whole.select(board.history.seen_items.contains(whole.user_num, whole.item_num))
        assert len(expected)
        found = retriever.retrieve(board.users, board.features, top_k=50, exclude=kept_out(board.history, "only"))
        assert pairs_of(found) == pairs_of(expected)
        if self.scores_alone:
            assert found.item_num.tolist() == expected.item_num.tolist()
            np.testing.assert_allclose(found.score, expected.score, rtol=1e-5, atol=1e-6)
        only = np.array([1, 2, 3, 4], np.int32)
        some = retriever.retrieve(
            board.users, board.features, top_k=50, exclude=kept_out(board.history, "only"), only=only
        )
        assert pairs_of(some) == pairs_of(found.select(np.isin(found.item_num, only)))

    def test_nobody_asked(self, retriever: Any, board: Checkerboard) -> None:
        candidates = retriever.retrieve(np.zeros(0, np.int32), board.features, top_k=3, exclude=self.kept_out(board))
        assert len(candidates) == len(candidates.users) == 0

    def test_finds_what_each_user_withheld(self, retriever: Any, board: Checkerboard) -> None:
        if not self.learns_checkerboard:
            pytest.skip("declared: does not tell users apart")
        candidates = retriever.retrieve(board.users, board.features, top_k=1, exclude=self.kept_out(board))
        assert candidates.item_num.tolist() == board.withheld[candidates.user_num].tolist()
        assert len(candidates) == len(board.users)


class TrainedRetrieverPromises(RetrieverPromises):
    """For retrievers with `fit`, `save` and `load`."""

    def unfitted(self) -> Any:
        raise NotImplementedError

    def fitted(self, history: Interactions, features: FeatureTables) -> Any:
        return self.unfitted().fit(history, features, seed=0)

    def test_refit_equals_fresh_fit(self, retriever: Any, board: Checkerboard) -> None:
        other = checkerboard(n_users=10, n_items=8)
        refitted = self.fitted(other.history, other.features).fit(board.history, board.features, seed=0)
        assert_same(retriever, refitted, board)

    def test_save_and_load_keep_scores(self, retriever: Any, board: Checkerboard, tmp_path: Path) -> None:
        retriever.save(tmp_path / "model")
        assert_same(retriever, type(retriever).load(tmp_path / "model"), board)

    def test_reading_before_fit_is_refused(self, board: Checkerboard) -> None:
        with pytest.raises(Exception, match=r"not fitted; call fit\(\) or load\(\) first"):
            self.unfitted().retrieve(board.users, board.features, top_k=1, exclude=board.history.seen_items)


def pairs_of(candidates: Candidates) -> set[tuple[int, int]]:
    return set(zip(candidates.row_user.tolist(), candidates.item_num.tolist(), strict=True))


def assert_same(one: Any, other: Any, board: Checkerboard) -> None:
    lists: list[Candidates] = [
        retriever.retrieve(board.users, board.features, top_k=50, exclude=board.history.seen_items)
        for retriever in (one, other)
    ]
    assert lists[0].row_user.tolist() == lists[1].row_user.tolist()
    assert lists[0].item_num.tolist() == lists[1].item_num.tolist()
    np.testing.assert_allclose(lists[0].score, lists[1].score, rtol=1e-5)
