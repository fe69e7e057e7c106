"""What every trained ranker promises. A new one adds a subclass named Test..., which says how it is made."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset.errors import DivergenceError
from ranking.examples import Examples

NAMES = ("noise", "signal", "constant", "scale")


def taught_examples(n_lists: int = 60, *, seed: int = 0, noise: float = 0.0) -> Examples:
    """Lists of unequal length whose positives are the rows of the highest `signal`; other columns say nothing."""
    generator = np.random.default_rng(seed)
    counts = generator.integers(4, 12, n_lists)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    n_rows = int(starts[-1])
    signal = generator.normal(size=n_rows)
    labels = np.zeros(n_rows, np.float32)
    for start, stop in pairwise(starts):
        truth = signal[start:stop] + noise * generator.normal(size=stop - start)
        labels[start + np.argsort(-truth)[: 1 + (stop - start > 8)]] = 1
    columns = [generator.normal(size=n_rows), signal, np.full(n_rows, 3.0), 1e5 + 1e4 * generator.normal(size=n_rows)]
    n_relevant = np.add.reduceat(labels, starts[:-1]).astype(np.int64)
    users = np.arange(1, n_lists + 1, dtype=np.int32)
    return Examples(np.stack(columns, axis=1).astype(np.float32), NAMES, labels, starts, users, n_relevant)


LEARNED, VALIDATION = taught_examples(), taught_examples(20, seed=1)


class RankerPromises:
    learns_from_examples = True  # sorts by a column that tells positives from negatives
    exports = True  # has a serving form

    @classmethod
    def unfitted(cls) -> Any:
        raise NotImplementedError

    def served(self, graph: Path) -> Any:
        """The serving form of an exported graph."""
        raise NotImplementedError

    def diverging(self) -> Any:
        """Unfitted, with a learning rate some million times too high."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def ranker(cls) -> Any:
        return cls.unfitted().fit(LEARNED, seed=0, validation=VALIDATION)

    def test_one_finite_score_per_row(self, ranker: Any) -> None:
        scores = ranker.score_pairs(LEARNED.pairs)
        assert scores.shape == (len(LEARNED.pairs),)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert ranker.score_pairs(LEARNED.pairs[:0]).shape == (0,)

    def test_scores_follow_their_rows(self, ranker: Any) -> None:
        order = np.random.default_rng(0).permutation(len(LEARNED.pairs))
        scores = ranker.score_pairs(LEARNED.pairs)
        np.testing.assert_allclose(ranker.score_pairs(LEARNED.pairs[order]), scores[order], atol=1e-5)
        np.testing.assert_allclose(ranker.score_pairs(LEARNED.pairs[7:8]), scores[7:8], atol=1e-5)

    def test_values_never_met_before_give_finite_scores(self, ranker: Any) -> None:
        extreme = np.repeat(LEARNED.pairs[:1], 3, axis=0) * np.array([[-1e12], [0], [1e12]], np.float32)
        assert np.isfinite(ranker.score_pairs(extreme)).all()

    def test_learns_what_is_plain_to_see(self, ranker: Any) -> None:
        if not self.learns_from_examples:
            pytest.skip("declared: does not learn")
        by_noise = VALIDATION.ndcg(VALIDATION.pairs[:, 0]).mean()
        by_ranker = VALIDATION.ndcg(ranker.score_pairs(VALIDATION.pairs)).mean()
        assert by_noise < 0.7
        assert by_ranker > 0.9

    def test_reading_does_not_train(self, ranker: Any) -> None:
        before = ranker.score_pairs(LEARNED.pairs)
        np.testing.assert_array_equal(ranker.score_pairs(LEARNED.pairs), before)

    def test_refit_equals_fresh_fit(self, ranker: Any) -> None:
        other = taught_examples(10, seed=5)
        refitted = self.unfitted().fit(other, seed=3, validation=other).fit(LEARNED, seed=0, validation=VALIDATION)
        np.testing.assert_array_equal(refitted.score_pairs(LEARNED.pairs), ranker.score_pairs(LEARNED.pairs))

    def test_another_seed_gives_another_ranker(self, ranker: Any) -> None:
        other = self.unfitted().fit(LEARNED, seed=1, validation=VALIDATION)
        assert not np.allclose(other.score_pairs(LEARNED.pairs), ranker.score_pairs(LEARNED.pairs), atol=1e-3)

    def test_save_and_load_keep_scores(self, ranker: Any, tmp_path: Path) -> None:
        ranker.save(tmp_path / "model")
        loaded = type(ranker).load(tmp_path / "model")
        assert (loaded.config, loaded.names) == (ranker.config, ranker.names)
        np.testing.assert_array_equal(loaded.score_pairs(LEARNED.pairs), ranker.score_pairs(LEARNED.pairs))
        suffixes = {path.suffix for path in (tmp_path / "model").iterdir()}
        assert suffixes <= {".json", ".h5", ".npz", ".npy", ".safetensors"}  # nothing that could run code

    def test_the_serving_form_gives_the_same_scores(self, ranker: Any, tmp_path: Path) -> None:
        if not self.exports:
            pytest.skip("declared: has no serving form")
        ranker.export(tmp_path / "ranker.onnx")
        served = self.served(tmp_path / "ranker.onnx")
        for rows in (slice(None), slice(3, 4), slice(0, 0)):
            scores = served.score_pairs(LEARNED.pairs[rows])
            assert scores.dtype == np.float32
            np.testing.assert_allclose(scores, ranker.score_pairs(LEARNED.pairs[rows]), atol=1e-5)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_feature_that_is_not_finite_is_named(self, value: float) -> None:
        pairs = LEARNED.pairs.copy()
        pairs[17, 1] = value
        broken = Examples(pairs, NAMES, LEARNED.labels, LEARNED.starts, LEARNED.users, LEARNED.n_relevant)
        with pytest.raises(DivergenceError, match="feature 'signal' is not finite"):
            self.unfitted().fit(broken, seed=0, validation=VALIDATION)

    def test_a_learning_rate_far_too_high(self) -> None:
        """Training stops and says why, or ends with scores that are numbers."""
        try:
            ranker = self.diverging().fit(LEARNED, seed=0, validation=VALIDATION)
        except DivergenceError as error:
            assert "ranker: loss is" in str(error)
            assert "lower ranker.learning_rate" in str(error)
        else:
            assert np.isfinite(ranker.score_pairs(LEARNED.pairs)).all()
