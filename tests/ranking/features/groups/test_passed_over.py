"""PassedOver: what was shown before, and a regression for each item, against plain loops."""

from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.similarity import singular_vectors
from belfry.ranking.features.groups import passed_over
from belfry.ranking.features.groups.passed_over import PassedOver
from belfry.ranking.features.pair_features import PairFeatures
from tests.ranking.features.world import CONFIG, matrix_of, with_impressions


@pytest.fixture
def shown(world: FeatureTables) -> FeatureTables:
    return with_impressions(world)


def test_left_out_where_nothing_is_known_to_be_shown(world: FeatureTables, asked: Candidates) -> None:
    assert not {"passed_over", "watched_if_shown"} & {*matrix_of(world, asked)}


def test_times_shown(shown: FeatureTables, asked: Candidates) -> None:
    impressions = shown.history.impressions
    assert impressions is not None
    expected = [
        np.log1p((impressions.of(user) == item).sum())
        for user, item in zip(asked.user_num, asked.item_num, strict=True)
    ]
    assert len({*expected}) == 3
    np.testing.assert_allclose(matrix_of(shown, asked)["passed_over"], expected, rtol=1e-6)


@pytest.mark.parametrize("block", [7, 1 << 14])
def test_each_item_has_a_ridge_regression(
    shown: FeatureTables, asked: Candidates, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passed_over, "_PAIRS_PER_BLOCK", block)
    history = shown.history
    assert history.impressions is not None
    vectors = singular_vectors(history, CONFIG.ease_rank)[1][:, :8].astype(np.float64)
    watched = history.matrix.toarray()
    profile = watched @ vectors / np.sqrt(np.maximum(watched.sum(axis=1), 1))[:, None]
    vectors /= profile.std(axis=0)
    pairs = [
        (user, item, watched[user, item])
        for user in range(1, len(watched))
        for item in range(1, watched.shape[1])
        if watched[user, item] or item in history.impressions.of(user)
    ]
    mean = np.mean([label for *_, label in pairs])
    weights = np.zeros((watched.shape[1], 9))
    for item in range(1, watched.shape[1]):
        rows, labels = [], []
        for user, _, label in (pair for pair in pairs if pair[1] == item):
            others = watched[user].copy()
            others[item] = 0
            rows.append([1, *(others @ vectors / np.sqrt(max(others.sum(), 1)))])
            labels.append(label - mean)
        z = np.array(rows)
        weights[item] = np.linalg.solve(z.T @ z + 20 * np.eye(9), z.T @ labels)
    profile = watched @ vectors / np.sqrt(np.maximum(watched.sum(axis=1), 1))[:, None]
    expected = [weights[item] @ [1, *profile[user]] for user, item in zip(asked.user_num, asked.item_num, strict=True)]
    np.testing.assert_allclose(matrix_of(shown, asked)["watched_if_shown"], expected, atol=1e-4)


def test_without_times_nothing_is_said_of_what_was_shown_before(shown: FeatureTables, asked: Candidates) -> None:
    assert shown.history.impressions is not None
    timeless = replace(shown.history.impressions, time_s=None)
    columns = matrix_of(replace(shown, history=replace(shown.history, impressions=timeless)), asked)
    assert "passed_over" not in columns
    np.testing.assert_array_equal(columns["watched_if_shown"], matrix_of(shown, asked)["watched_if_shown"])


def test_tables_without_impressions_are_described_as_of_people_who_were_shown_nothing(
    shown: FeatureTables, asked: Candidates
) -> None:
    fitted = PairFeatures.fit(shown, CONFIG)
    nothing = SeenItems.nothing(len(shown.history.users))
    without, empty = (
        fitted.matrix(asked, replace(shown, history=replace(shown.history, impressions=pairs)))
        for pairs in (None, nothing)
    )
    np.testing.assert_array_equal(without, empty)
    assert not without[:, fitted.names(shown).index("passed_over")].any()


def test_a_part_without_impressions_has_the_same_columns(shown: FeatureTables, asked: Candidates) -> None:
    nothing = replace(SeenItems.nothing(len(shown.history.users)), time_s=np.zeros(0, np.int64))
    part = replace(shown, history=replace(shown.history, impressions=nothing))
    assert [*matrix_of(part, asked)] == [*matrix_of(shown, asked)]


def test_weights_of_other_factors_are_refused(shown: FeatureTables) -> None:
    arrays = PassedOver.fit(shown, CONFIG)
    with pytest.raises(ArtifactError, match=r"'weights' holds float32 of the shape .*; train again"):
        PassedOver({**arrays, "weights": arrays["weights"][:, 1:]})
