"""FeaturedRanker: what it answers is what its parts say, and features of another world are refused by name."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.ranking.base import SavedRanker, Scores
from belfry.ranking.calibration import Calibration
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.feature_ranker import FeaturedRanker
from belfry.ranking.listwise.first_watches import FirstWatches
from belfry.ranking.listwise.score_blend import ScoreBlend
from tests.ranking.features.world import CONFIG, candidates_for, random_world

BLEND = ScoreBlend(0.5, Calibration(slope=2.0, intercept=-1.0))


class ByPopularity:
    def score_lists(self, lists: Lists) -> Scores:
        return lists.column("popularity")


@pytest.fixture(scope="module")
def world() -> FeatureTables:
    return random_world()


@pytest.fixture(scope="module")
def pair_features(world: FeatureTables) -> PairFeatures:
    return PairFeatures.fit(world, CONFIG)


@pytest.fixture
def ranker(world: FeatureTables, pair_features: PairFeatures) -> FeaturedRanker:
    return FeaturedRanker(pair_features, ByPopularity(), BLEND, pair_features.names(world))


def without(columns: FeatureColumns, name: str) -> FeatureColumns:
    """The columns but one."""
    return FeatureColumns(
        **{
            kind: {key: values for key, values in getattr(columns, kind).items() if key != name}
            for kind in ("categorical", "numeric", "multi_valued", "sizes")
        }
    )


def test_scores_are_those_of_the_scorer_blended_and_calibrated(world: FeatureTables, ranker: FeaturedRanker) -> None:
    """In row order; the lists, too, are what `describe` says of the candidates."""
    candidates = candidates_for(world, [4, 0, 30, 9])
    lists = ranker.describe(candidates, world)
    assert lists.users.tolist() == [4, 0, 30, 9]
    np.testing.assert_array_equal(lists.items, candidates.item_num)
    np.testing.assert_array_equal(lists.pairs, ranker.pair_features.matrix(candidates, world))
    scores = ranker.score(candidates, world)
    logits = 2 * (lists.column("popularity") + 0.5 * lists.column("standard_score")) - 1
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert scores.dtype == np.float32


def test_nobody_asked(world: FeatureTables, ranker: FeaturedRanker) -> None:
    nothing = candidates_for(world, [1]).select(np.zeros(0, np.int64))
    assert ranker.score(nothing, world).shape == (0,)


def test_missing_columns_are_named(world: FeatureTables, ranker: FeaturedRanker) -> None:
    poorer = replace(world, items=without(world.items, "year"))
    message = r"ranker: features 'item\.year', 'distance\.year' are missing; hand in the columns"
    with pytest.raises(InputError, match=message):
        ranker.score(candidates_for(world, [1]), poorer)


def test_new_columns_are_named(world: FeatureTables, ranker: FeaturedRanker) -> None:
    height = {"height": np.zeros(31, np.float32)}
    richer = replace(world, users=replace(world.users, numeric=world.users.numeric | height))
    with pytest.raises(InputError, match=r"ranker: features 'user\.height' are new; hand in the columns"):
        ranker.score(candidates_for(world, [1]), richer)


def test_a_column_that_changed_its_type_is_missing_and_new(world: FeatureTables, ranker: FeaturedRanker) -> None:
    """A year that is a category now."""
    years = np.ones(21, np.int32)
    columns = without(world.items, "year")
    columns.categorical["year"], columns.sizes["year"] = years, 2
    message = (
        r"features 'item\.year', 'distance\.year' are missing, "
        r"features 'category\.year\.uniform', 'category\.year\.recency' are new"
    )
    with pytest.raises(InputError, match=message):
        ranker.score(candidates_for(world, [1]), replace(world, items=columns))


def test_columns_of_a_source_that_is_gone_are_named(world: FeatureTables, pair_features: PairFeatures) -> None:
    names = pair_features.names(world, ("towers", "ease"))
    ranker = FeaturedRanker(pair_features, ByPopularity(), BLEND, names)
    with pytest.raises(InputError, match="features 'score_towers', 'log_rank_in_towers', 'score_ease'"):
        ranker.score(candidates_for(world, [1]), world)


def test_many_names_are_cut_short(world: FeatureTables, pair_features: PairFeatures) -> None:
    names = (*(f"f{number}" for number in range(9)), *pair_features.names(world))
    ranker = FeaturedRanker(pair_features, ByPopularity(), BLEND, names)
    with pytest.raises(InputError, match="features 'f0', 'f1', 'f2', 'f3', 'f4' and others are missing;"):
        ranker.score(candidates_for(world, [1]), world)


def test_another_order_is_refused(world: FeatureTables, pair_features: PairFeatures) -> None:
    ranker = FeaturedRanker(pair_features, ByPopularity(), BLEND, pair_features.names(world)[::-1])
    with pytest.raises(InputError, match="ranker: its features stand in another order than in training; hand in"):
        ranker.score(candidates_for(world, [1]), world)


def test_lists_of_newcomers_go_by_what_was_learned_of_them(world: FeatureTables, pair_features: PairFeatures) -> None:
    first = FirstWatches(("popularity",), 0.5, (0.1, 3.0, 0.0, 0.0), 40)
    names = pair_features.names(world)
    plain, ranker = (
        FeaturedRanker(pair_features, ByPopularity(), blend, names)
        for blend in (BLEND, replace(BLEND, first_watches=first))
    )
    candidates = candidates_for(world, [4, 0, 30, 9])
    lists = ranker.describe(candidates, world)
    log_odds = 2 * (lists.column("popularity") + 0.5 * lists.column("standard_score")) - 1
    wanted = first(log_odds.astype(np.float64), lists)
    np.testing.assert_allclose(ranker.score(candidates, world), 1 / (1 + np.exp(-wanted)), rtol=1e-5)
    assert not np.allclose(ranker.score(candidates, world), plain.score(candidates, world))


LEARNED = {"columns": ["popularity"], "level": 0, "weights": [1, 2, 3, 4], "many": 40}


@pytest.mark.parametrize(
    ("first_watches", "message"),
    [
        ({**LEARNED, "weights": [1, 2, 3]}, "wanted weights up to 1e[+]15: two, and two more for each"),
        ({**LEARNED, "level": -1e300}, "wanted weights up to 1e[+]15"),
        ({**LEARNED, "many": 10**300}, "many from 1 to 40"),
        ({**LEARNED, "columns": ["shoe"]}, "reads features that the scorer was not trained on"),
        ({**LEARNED, "weights": "much"}, "first_watches"),
        ({**LEARNED, "many": 0}, "many"),
    ],
)
def test_a_blend_that_is_none_is_refused(tmp_path: Path, first_watches: dict, message: str) -> None:
    calibration = {"slope": 1, "intercept": 0}
    saved = {"names": ["popularity", "history_length"], "retrieval_weight": 0, "calibration": calibration}
    content = {**saved, "label_weights": {}, "first_watches": first_watches}
    (tmp_path / "score_blend.json").write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match=message):
        FeaturedRanker.load(SavedRanker(tmp_path, CONFIG, CONFIG), ByPopularity())
