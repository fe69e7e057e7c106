"""LightGbmRanker: the promises of a ranker of lists, its two objectives, and what is said where LightGBM is missing."""

import sys
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.ranking.listwise.boosted import LightGbmRanker
from belfry.ranking.listwise.config import LightGbmRankerConfig
from tests.contracts.ranker import LEARNED, LISTS, VALIDATION, ListRankerPromises, fitted, taught_examples

TINY = LightGbmRankerConfig(trees=30, patience=30, leaves=5, min_rows=5, learning_rate=0.2)


class TestLightGbmRankerPromises(ListRankerPromises):
    serving_form = LightGbmRanker.load
    suffixes = frozenset({".json", ".txt"})

    @classmethod
    def unfitted(cls) -> LightGbmRanker:
        return LightGbmRanker(TINY)


def test_binary_learns_too() -> None:
    ranker = fitted(LightGbmRanker(TINY.model_copy(update={"objective": "binary"})), LEARNED)
    assert VALIDATION.ndcg(ranker.score_lists(VALIDATION.lists)).mean() > 0.9


def test_trees_after_the_best_are_left_out(tmp_path: Path) -> None:
    """Both by the ranker that was fitted and by what it wrote; noise in validation ends the gains early."""
    noisy = taught_examples(20, seed=1, noise=2.0)
    told: list[tuple[int, int]] = []
    ranker = LightGbmRanker(TINY.model_copy(update={"trees": 200, "patience": 5}))
    ranker.fit(LEARNED, seed=0, validation=noisy, n_users=1, n_items=1, progress=lambda *step: told.append(step))
    n_grown = len(told)
    assert told == [(number, 200) for number in range(1, n_grown + 1)]
    ranker.export(tmp_path)
    n_kept = (tmp_path / "ranker.txt").read_text().count("\nTree=")
    assert n_kept == n_grown - 5
    shorter = LightGbmRanker(TINY.model_copy(update={"trees": n_kept, "patience": 200}))
    np.testing.assert_allclose(fitted(shorter, LEARNED, validation=noisy).score_lists(LISTS), ranker.score_lists(LISTS))


def test_without_lightgbm_the_message_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = fitted(LightGbmRanker(TINY), LEARNED)
    ranker.export(tmp_path)
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # so that importing it fails
    message = r"ranker kind 'lightgbm' needs LightGBM; run: pip install 'belfry-recommender\[lightgbm\]'"
    with pytest.raises(InputError, match=message):
        fitted(LightGbmRanker(TINY), LEARNED)
    with pytest.raises(InputError, match=message):
        LightGbmRanker.load(tmp_path)
