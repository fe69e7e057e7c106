"""ExpectedLabels: the columns of a model's labels, beside those of the history."""

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.ranking.base import Matrix
from belfry.ranking.features.pair_features import PairFeatures
from tests.ranking.features.world import CONFIG, candidates_for, random_world


class ByNumber:
    """Expects user + item / 100 of one label, and the number of the item of another."""

    label_names = ("rating", "finished")

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        items = candidates.item_num
        return np.stack([candidates.user_num + items / 100, items], axis=1).astype(np.float32)


def test_each_label_has_a_column_and_a_place_in_the_list() -> None:
    world, candidates = random_world(), candidates_for(random_world(), [4, 0, 30, 9])
    plain, with_labels = PairFeatures.fit(world, CONFIG), PairFeatures.fit(world, CONFIG, ByNumber())
    names = with_labels.names(world)
    new = ("expected_rating", "expected_finished", "standard_expected_rating", "standard_expected_finished")
    assert set(names) == {*plain.names(world), *new}
    assert len(names) == len(plain.names(world)) + 4
    matrix = dict(zip(names, with_labels.matrix(candidates, world).T, strict=True))
    before = dict(zip(plain.names(world), plain.matrix(candidates, world).T, strict=True))
    for name, values in before.items():
        np.testing.assert_array_equal(matrix[name], values)
    np.testing.assert_allclose(matrix["expected_rating"], candidates.user_num + candidates.item_num / 100)
    np.testing.assert_array_equal(matrix["expected_finished"], candidates.item_num)
    standard = matrix["standard_expected_finished"].reshape(4, -1)
    np.testing.assert_allclose(standard.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(standard.std(axis=1), 1, rtol=1e-5)


def test_the_model_is_kept_elsewhere() -> None:
    """Arrays are those of the history alone; labels are handed over again."""
    world, candidates = random_world(), candidates_for(random_world(), [4, 9])
    fitted = PairFeatures.fit(world, CONFIG, ByNumber())
    assert fitted.arrays.keys() == PairFeatures.fit(world, CONFIG).arrays.keys()
    again = PairFeatures(CONFIG, fitted.arrays, ByNumber())
    np.testing.assert_array_equal(again.matrix(candidates, world), fitted.matrix(candidates, world))
    about = {column.about for column in again.columns(world)}
    assert {"expected rating", "expected finished"} <= about


def test_nobody_asked() -> None:
    world = random_world()
    nothing = candidates_for(world, [1]).select(np.zeros(0, np.int64))
    assert PairFeatures.fit(world, CONFIG, ByNumber()).matrix(nothing, world).shape[0] == 0
