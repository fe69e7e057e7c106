"""What every ranker of lists promises. A new one adds a subclass named Test..., which declares what it cannot do."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belfry.dataset.errors import DivergenceError, InputError
from belfry.ranking.base import Matrix, Scores
from belfry.ranking.examples import Examples
from belfry.ranking.lists import HISTORY_LENGTH, Lists
from belfry.ranking.listwise.serving import OnnxRanker

NAMES = ("noise", "signal", "constant", "scale")
N_USERS, N_ITEMS = 100, 30


def taught_examples(n_lists: int = 60, *, seed: int = 0, noise: float = 0.0) -> Examples:
    """Lists of unequal length whose positives are their best items, as `signal` says too; other columns say nothing."""
    generator = np.random.default_rng(seed)
    worth = np.random.default_rng(99).normal(size=N_ITEMS + 1)  # of an item, in every list
    lengths = generator.integers(4, 12, n_lists)
    items = np.concatenate([generator.permutation(N_ITEMS)[:length] + 1 for length in lengths]).astype(np.int32)
    row_list, signal = np.repeat(np.arange(n_lists), lengths), worth[items]
    starts = np.append(0, np.cumsum(lengths))
    best_first = np.lexsort((-signal - noise * generator.normal(size=len(items)), row_list))
    place = np.arange(len(items)) - starts[row_list]
    labels = np.zeros(len(items), np.float32)
    labels[best_first] = place < 1 + (lengths > 8)[row_list]
    columns = [
        generator.normal(size=len(items)),
        signal,
        np.full(len(items), 3.0),
        1e5 + 1e4 * generator.normal(size=len(items)),
    ]
    history = generator.integers(1, N_ITEMS + 1, (n_lists, HISTORY_LENGTH), dtype=np.int32)
    history[np.arange(HISTORY_LENGTH) < generator.integers(0, HISTORY_LENGTH + 1, (n_lists, 1))] = 0
    return Examples(
        Lists(
            pairs=np.stack(columns, axis=1).astype(np.float32),
            names=NAMES,
            items=items,
            starts=starts,
            users=(np.arange(n_lists, dtype=np.int32) % N_USERS + 1),
            history=history,
        ),
        labels,
        n_relevant=np.bincount(row_list, labels).astype(np.int64),
    )


def with_pairs(examples: Examples, pairs: Matrix) -> Examples:
    """The same lists, otherwise described."""
    return replace(examples, lists=replace(examples.lists, pairs=pairs))


def fitted(ranker: Any, examples: Examples, *, seed: int = 0, validation: Examples | None = None) -> Any:
    return ranker.fit(examples, seed=seed, validation=validation or VALIDATION, n_users=N_USERS, n_items=N_ITEMS)


LEARNED, VALIDATION = taught_examples(), taught_examples(20, seed=1)
LISTS = LEARNED.lists


class ListRankerPromises:
    serving_form: Any = OnnxRanker  # made of the folder of an export
    scores_alone = True  # a row's score does not depend on what else its list holds
    reads_features = True  # not ids alone
    suffixes = frozenset({".json", ".npz"})  # of the files that it saves

    @classmethod
    def unfitted(cls) -> Any:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def ranker(cls) -> Any:
        return fitted(cls.unfitted(), LEARNED)

    def test_one_finite_score_per_row(self, ranker: Any) -> None:
        nobody = LISTS.select(np.zeros(0, np.int64))
        empty = replace(nobody, users=LISTS.users[:2], history=LISTS.history[:2], starts=np.zeros(3, np.int64))
        for lists in (LISTS, LISTS.select(np.array([5])), nobody, empty):
            scores = ranker.score_lists(lists)
            assert scores.shape == (len(lists.pairs),)
            assert scores.dtype == np.float32
            assert np.isfinite(scores).all()

    def test_scores_follow_their_rows(self, ranker: Any) -> None:
        order = np.lexsort((np.random.default_rng(0).random(len(LISTS.items)), LISTS.row_list))
        turned = replace(LISTS, pairs=LISTS.pairs[order], items=LISTS.items[order])
        np.testing.assert_allclose(ranker.score_lists(turned), ranker.score_lists(LISTS)[order], atol=1e-5)

    def test_scores_follow_their_lists(self, ranker: Any) -> None:
        order = np.random.default_rng(0).permutation(len(LISTS))
        expected = ranker.score_lists(LISTS)[LISTS.rows_of(order)]
        np.testing.assert_allclose(ranker.score_lists(LISTS.select(order)), expected, atol=1e-5)

    def test_padding_changes_nothing(self, ranker: Any) -> None:
        """Alone a list is not padded, among longer ones it is; empty lists stand in nobody's way."""
        alone = [ranker.score_lists(LISTS.select(np.array([place]))) for place in range(8)]
        np.testing.assert_allclose(ranker.score_lists(LISTS.select(np.arange(8))), np.concatenate(alone), atol=1e-5)
        spread = replace(
            LISTS.select(np.array([0, 0, 1, 2, 2])), starts=np.array([0, 0, *LISTS.starts[1:3], *[LISTS.starts[2]] * 2])
        )
        spread = replace(spread, pairs=LISTS.pairs[: LISTS.starts[2]], items=LISTS.items[: LISTS.starts[2]])
        np.testing.assert_allclose(ranker.score_lists(spread), np.concatenate(alone[:2]), atol=1e-5)

    def test_an_item_scored_alone(self, ranker: Any) -> None:
        """Lists of one row each, in place of the whole; who looks at the list says otherwise of some row."""
        rows = np.arange(len(LISTS.items))
        single = replace(
            LISTS,
            starts=np.append(rows, len(rows)),
            users=LISTS.users[LISTS.row_list],
            history=LISTS.history[LISTS.row_list],
        )
        alone, together = ranker.score_lists(single), ranker.score_lists(LISTS)
        if self.scores_alone:
            np.testing.assert_allclose(alone, together, atol=1e-5)
        else:
            assert np.abs(alone - together).max() > 1e-3

    @pytest.mark.parametrize("value", [-3e38, -1e12, 0, 1e12, 3e38])
    def test_values_never_met_before_give_finite_scores(self, ranker: Any, value: float) -> None:
        extreme = replace(LISTS, pairs=np.full_like(LISTS.pairs, value))
        assert np.isfinite(ranker.score_lists(extreme)).all()

    def test_unknown_users_and_items_are_scored(self, ranker: Any) -> None:
        unknown = replace(
            LISTS,
            users=np.zeros_like(LISTS.users),
            items=np.zeros_like(LISTS.items),
            history=np.zeros_like(LISTS.history),
        )
        assert np.isfinite(ranker.score_lists(unknown)).all()

    def test_learns_what_is_plain_to_see(self, ranker: Any) -> None:
        by_noise = VALIDATION.ndcg(VALIDATION.lists.column("noise")).mean()
        by_ranker = VALIDATION.ndcg(ranker.score_lists(VALIDATION.lists)).mean()
        assert by_noise < 0.7
        assert by_ranker > 0.9

    def test_reads_what_it_says(self, ranker: Any) -> None:
        turned = replace(LISTS, pairs=LISTS.pairs[::-1])
        assert np.array_equal(ranker.score_lists(turned), ranker.score_lists(LISTS)) != self.reads_features

    def test_reading_does_not_train(self, ranker: Any) -> None:
        np.testing.assert_array_equal(ranker.score_lists(LISTS), ranker.score_lists(LISTS))

    def test_equal_seeds_give_equal_scores_and_a_second_fit_forgets_the_first(self, ranker: Any) -> None:
        expected = ranker.score_lists(LISTS)
        np.testing.assert_array_equal(fitted(ranker, LEARNED).score_lists(LISTS), expected)

    def test_save_and_load_keep_scores(self, ranker: Any, tmp_path: Path) -> None:
        ranker.save(tmp_path / "model")
        loaded = type(ranker).load(tmp_path / "model")
        assert loaded.config == ranker.config
        np.testing.assert_array_equal(loaded.score_lists(LISTS), ranker.score_lists(LISTS))
        assert {path.suffix for path in (tmp_path / "model").iterdir()} == self.suffixes  # nothing that could run code

    def test_the_serving_form_gives_the_same_scores(self, ranker: Any, tmp_path: Path) -> None:
        ranker.export(tmp_path)
        served = self.serving_form(tmp_path)
        for lists in (LISTS, LISTS.select(np.array([9, 3])), LISTS.select(np.zeros(0, np.int64))):
            scores: Scores = served.score_lists(lists)
            assert scores.dtype == np.float32
            np.testing.assert_allclose(scores, ranker.score_lists(lists), atol=1e-5)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_feature_that_is_not_finite_is_named(self, value: float) -> None:
        pairs = LISTS.pairs.copy()
        pairs[17, 1] = value
        with pytest.raises(DivergenceError, match="feature 'signal' is not finite"):
            fitted(self.unfitted(), with_pairs(LEARNED, pairs))

    def test_reading_before_fit_is_refused(self, tmp_path: Path) -> None:
        for read in (lambda ranker: ranker.score_lists(LISTS), lambda ranker: ranker.export(tmp_path)):
            with pytest.raises(InputError, match=r"not fitted; call fit\(\) or load\(\) first"):
                read(self.unfitted())
