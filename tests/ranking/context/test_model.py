"""ContextWeights and ContextModel: what is learned of choices, what is not, and what comes back from a folder."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.encoding.context import ContextColumn
from belfry.dataset.errors import ArtifactError
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.layers.saved.files import save_arrays
from belfry.ranking.context.choices import Choices, choices_of, join_choices
from belfry.ranking.context.model import MIN_CHOICES, ContextModel, ContextWeights, log_odds_of, moved
from belfry.ranking.context.statistics import ContextStatistics
from belfry.ranking.examples import make_examples
from belfry.ranking.lists import Lists

N_LISTS, LENGTH = 400, 12
TRUE = 1.5  # the weight of the first column's lift


def lists_of(n_lists: int = N_LISTS) -> Lists:
    users = np.arange(1, n_lists + 1, dtype=np.int32)
    items = np.tile(np.arange(1, LENGTH + 1, dtype=np.int32), n_lists)
    pairs = np.zeros((len(items), 1), np.float32)
    starts = np.arange(n_lists + 1) * LENGTH
    return Lists(pairs, ("nothing",), items, starts, users, np.zeros((n_lists, 50), np.int32))


def choices(n: int = N_LISTS) -> tuple[Choices, np.ndarray, Lists]:
    """One choice of each list: by the log-odds, and by the lift of column "device"; "weather" has no part in it."""
    generator, lists = np.random.default_rng(0), lists_of(n)
    log_odds = generator.normal(size=n * LENGTH)
    computed = generator.normal(size=(6, n * LENGTH)).astype(np.float32)
    utility = (log_odds + TRUE * computed[0] + generator.gumbel(size=n * LENGTH)).reshape(n, LENGTH)
    rows = np.arange(n) * LENGTH + utility.argmax(axis=1)
    one = np.ones(n, np.int32)
    return Choices(np.arange(n), rows, {"device": one, "weather": one}, computed), log_odds, lists


def test_weights_are_those_that_choices_were_made_by() -> None:
    weights = ContextWeights.fit(*choices(2_000))
    assert set(weights.by_column) == {"device"}
    np.testing.assert_allclose(weights.by_column["device"], [TRUE, 0, 0], atol=0.15)


def test_weights_do_not_depend_on_how_sure_of_itself_the_ranker_is() -> None:
    made, log_odds, lists = choices(2_000)
    np.testing.assert_allclose(
        ContextWeights.fit(made, 3 * log_odds, lists).by_column["device"],
        3 * np.array(ContextWeights.fit(made, log_odds, lists).by_column["device"]),
        rtol=0.02,
        atol=0.02,
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_context_by_chance_is_not_learned(seed: int) -> None:
    made, log_odds, lists = choices()
    computed = np.random.default_rng(100 + seed).normal(size=made.computed.shape).astype(np.float32)
    by_chance = Choices(made.lists, made.rows, made.asked, computed)
    assert not ContextWeights.fit(by_chance, log_odds, lists).by_column


def test_from_few_choices_nothing_is_learned() -> None:
    assert not ContextWeights.fit(*choices(MIN_CHOICES - 1)).by_column


def history() -> Interactions:
    generator, n = np.random.default_rng(1), 300
    users, items = Vocabulary(pa.array(range(1, 31))), Vocabulary(pa.array(range(1, LENGTH + 1)))
    user, item = generator.integers(1, 31, n), generator.integers(1, LENGTH + 1, n)
    column = ContextColumn(("phone", "tv"), generator.integers(0, 3, n).astype(np.int32))
    return Interactions(users, items, user.astype(np.int32), item.astype(np.int32), context={"device": column})


def model() -> ContextModel:
    vectors = np.random.default_rng(2).normal(size=(LENGTH + 1, 4)).astype(np.float32)
    return ContextModel(ContextWeights({"device": (1.0, 2.0, -0.5)}), ContextStatistics.fit(history(), vectors))


def test_choices_are_later_events_of_a_known_context_among_the_candidates() -> None:
    lists, known = lists_of(30), history()
    later = known.select(np.arange(40))
    made = choices_of(make_examples(lists, later), later, model().statistics, known, seed=0)
    within = later.select(later.context["device"].numbers > 0)
    wanted = sorted(zip(within.user_num, within.item_num, within.context["device"].numbers, strict=True))
    examples = make_examples(lists, later).lists
    users = np.repeat(examples.users, examples.lengths)[made.rows]
    assert sorted(zip(users, examples.items[made.rows], made.asked["device"], strict=True)) == wanted
    assert made.computed.shape == (3, len(made) * LENGTH)
    both = join_choices([made, made.behind(len(examples), len(examples.items))])
    assert both.rows[len(made) :].tolist() == (made.rows + len(examples.items)).tolist()


def test_scores_move_by_log_odds_and_stay_where_nothing_is_added() -> None:
    scores = np.array([0.5, 0.9, 1e-6, 0.3], np.float32)
    added = np.array([np.log(3), 0.0, 1.0, -40.0])
    np.testing.assert_allclose(moved(scores, added)[:1], [0.75], rtol=1e-6)
    assert moved(scores, added)[1] == scores[1]
    np.testing.assert_allclose(log_odds_of(moved(scores, added)), log_odds_of(scores) + added, rtol=1e-3)


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    made, known = model(), history()
    made.save(tmp_path / "context")
    again = ContextModel.load(tmp_path / "context", known, made.statistics.vectors)
    asked, users = {"device": np.array([1, 2], np.int32)}, np.array([3, 4], np.int32)
    row_list, items = np.repeat([0, 1], LENGTH), np.tile(np.arange(1, LENGTH + 1, dtype=np.int32), 2)
    added = made.added(asked, users, row_list, items, known)
    assert added.any()
    np.testing.assert_array_equal(again.added(asked, users, row_list, items, known), added)
    np.testing.assert_array_equal(again.popular(asked, row_list, items), made.popular(asked, row_list, items))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays | {"lift/device": arrays["lift/device"][:, 1:]}, "other values or items"),
        (lambda arrays: arrays | {"centre/device": arrays["centre/device"][1:]}, "other values or items"),
        (lambda arrays: arrays | {"lift/place": arrays["lift/device"]}, "'lift/place' is of other values"),
        (lambda arrays: {"lift/device": arrays["lift/device"]}, "'centre/device' is of other values"),
        (lambda arrays: arrays | {"lift/device": arrays["lift/device"] * np.float32(np.nan)}, "is not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, change: object, message: str) -> None:
    made = model()
    made.save(tmp_path / "context")
    arrays = {
        "lift/device": made.statistics.lifts["device"],
        "centre/device": made.statistics.centres["device"],
    }
    for file in (tmp_path / "context" / "statistics").iterdir():
        file.unlink()
    (tmp_path / "context" / "statistics").rmdir()
    save_arrays(tmp_path / "context" / "statistics", change(arrays))  # type: ignore[operator]
    with pytest.raises(ArtifactError, match=message):
        ContextModel.load(tmp_path / "context", history(), made.statistics.vectors)


@pytest.mark.parametrize("text", ["{}", '{"weights": {"device": [1, 2]}}', '{"weights": {"device": [1, 2, NaN]}}', "["])
def test_weights_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    made = model()
    made.save(tmp_path / "context")
    (tmp_path / "context" / "weights.json").write_text(text)
    with pytest.raises(ArtifactError, match="train again"):
        ContextModel.load(tmp_path / "context", history(), made.statistics.vectors)
