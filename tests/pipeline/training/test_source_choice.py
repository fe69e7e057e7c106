"""Which sources stay, and how much each counts: forward selection by what a fold holds back."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Fold
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.prepare import Data
from belfry.dataset.vocabulary import ItemNums, Numbers, UserNums
from belfry.pipeline.config import PipelineConfig, SourceConfig
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.training import source_choice
from belfry.pipeline.training.publish import train_and_publish
from belfry.pipeline.training.retrieval_stage import fit_first_stage
from belfry.pipeline.training.source_choice import GRID, SourceChoice, choose_sources
from belfry.retrieval.blend import CombinedRetriever, Source
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.models.ease import EASEConfig
from belfry.retrieval.models.item_knn import ItemKNNConfig
from belfry.retrieval.models.pure_svd import PureSVDConfig
from belfry.retrieval.popularity import PopularityConfig
from tests.contracts.checkerboard import Checkerboard, checkerboard
from tests.pipeline.small_world import folds_of, small_data

N_USERS, N_ITEMS, QUOTA = 60, 40, 12


class Table:
    """Proposes the best of a table of scores; NaN is no proposal."""

    def __init__(self, scores: np.ndarray, longest: int = 100) -> None:
        self.scores, self.longest = scores, longest  # [n_users + 1, n_items + 1]

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        is_free = ~exclude.table(users, N_ITEMS) & ~np.isnan(self.scores[users])
        is_free[:, 0] = False
        rows, items = np.nonzero(is_free)
        score = self.scores[users[rows], items].astype(np.float32)
        top_k = min(top_k, self.longest)
        return take_top_k(users, rows, items.astype(np.int32), score, top_k=top_k, origin="table")


@pytest.fixture(scope="module")
def board() -> Checkerboard:
    return checkerboard(N_USERS, N_ITEMS)


def fold_of(board: Checkerboard) -> Fold:
    """Each user comes to watch the item that they withheld."""
    later = board.history.select(np.unique(board.history.user_num, return_index=True)[1])
    return Fold(board.history, replace(later, item_num=board.withheld[later.user_num]))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((N_USERS + 1, N_ITEMS + 1))


def knowing(board: Checkerboard, users: Numbers, seed: int) -> np.ndarray:
    """Puts the right answer of `users` first, and guesses for others."""
    scores = noise(seed)
    scores[users, board.withheld[users]] = 3
    return scores


def retriever_of(*tables: np.ndarray) -> CombinedRetriever:
    """Of sources s0, s1, ..."""
    return CombinedRetriever([Source(f"s{place}", Table(table), QUOTA) for place, table in enumerate(tables)])


def choice_of(
    board: Checkerboard,
    tables: Sequence[np.ndarray],
    *,
    fixed: dict[str, float] | None = None,
    optional: Sequence[str] = (),
) -> SourceChoice:
    retriever = retriever_of(*tables)
    return choose_sources(retriever, fixed or {}, frozenset(optional), board.users, board.features, fold_of(board))


def slow_worth(board: Checkerboard, tables: Sequence[np.ndarray], weights: Sequence[float]) -> float:
    """Mean of recall@100 and NDCG@10 of the lists that sources of weights above 0 make together; one answer each."""
    used = [
        Source(f"s{place}", Table(table, QUOTA), QUOTA, weight)
        for place, (table, weight) in enumerate(zip(tables, weights, strict=True))
        if weight
    ]
    exclude = board.history.seen_items
    found = CombinedRetriever(used).retrieve(board.users, board.features, top_k=100, exclude=exclude)
    worth = 0.0
    for place, user in enumerate(board.users):
        rows = slice(*found.starts[place : place + 2])
        rank = found.rank[rows][found.item_num[rows] == board.withheld[user]]
        if len(rank):
            worth += (1 + (rank[0] <= 10) / np.log2(rank[0] + 1)) / 2
    return worth / len(board.users)


def test_the_best_source_is_chosen_first_and_nothing_unclear_is_added(
    board: Checkerboard, caplog: pytest.LogCaptureFixture
) -> None:
    tables = [noise(0), knowing(board, board.users, 1), noise(2)]
    with caplog.at_level(logging.INFO, logger="belfry.pipeline.training.source_choice"):
        choice = choice_of(board, tables, optional=["s1", "s2"])
    assert choice.weights == {"s0": 0.0, "s1": 1.0}  # the first source stays, if only to propose
    assert choice.gains == {"s1": 1.0}
    assert choice.worth == choice.alone["s1"] == 1.0
    assert "source 's2': mean of recall@100 and NDCG@10" in caplog.text
    assert "; is left out: it adds nothing clear" in caplog.text
    assert "added 1.0000; weight 1.00" in caplog.text


def test_sources_that_know_different_users_stay_together(board: Checkerboard) -> None:
    half, others = board.users[: N_USERS // 2], board.users[N_USERS // 2 :]
    tables = [knowing(board, half, 0), noise(1), knowing(board, others, 2)]
    choice = choice_of(board, tables, optional=["s1", "s2"])
    assert list(choice.weights) == ["s0", "s2"]
    assert choice.weights["s0"] == 1.0
    assert choice.worth > max(choice.alone.values()) + 0.2
    assert sum(choice.gains.values()) <= choice.worth  # weights are tuned after each choice
    weights = [choice.weights.get(name, 0.0) for name in ("s0", "s1", "s2")]
    assert choice.worth == pytest.approx(slow_worth(board, tables, weights), abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_the_union_is_never_worth_less_than_the_best_source(board: Checkerboard, seed: int) -> None:
    generator = np.random.default_rng(seed)
    known = [generator.permutation(board.users)[: generator.integers(5, 40)] for _ in range(4)]
    tables = [knowing(board, users, 10 * seed + place) for place, users in enumerate(known)]
    choice = choice_of(board, tables, optional=["s1", "s2", "s3"])
    assert choice.worth >= max(choice.alone.values())
    for place, name in enumerate(("s0", "s1", "s2", "s3")):
        assert choice.alone[name] == pytest.approx(slow_worth(board, tables, np.eye(4)[place].tolist()), abs=1e-9)
    first = next(iter(choice.gains))
    assert choice.alone[first] == max(choice.alone.values()) == choice.gains[first]


def test_a_source_of_short_lists_is_judged_by_them_alone(board: Checkerboard) -> None:
    """It proposes two wrong items: what others would have filled its list up with is not its merit."""
    tables = [knowing(board, board.users, 0), np.full((N_USERS + 1, N_ITEMS + 1), np.nan)]
    for user in board.users:
        tables[1][user, board.withheld[user] % N_ITEMS + 1] = 1  # the number above; of another parity, so unseen
    choice = choice_of(board, tables, optional=["s1"])
    assert choice.alone == {"s0": 1.0, "s1": 0.0}


def test_weights_that_are_given_stay_as_they_are(board: Checkerboard) -> None:
    tables = [noise(0), noise(1), knowing(board, board.users, 2), noise(3)]
    choice = choice_of(board, tables, fixed={"s0": 1.0, "s1": 0.3}, optional=["s1", "s2", "s3"])
    assert list(choice.weights) == ["s0", "s1", "s2"]
    assert (choice.weights["s0"], choice.weights["s1"]) == (1.0, 0.3)
    assert choice.weights["s2"] in GRID
    assert choice.weights["s2"] > 1
    assert list(choice.gains) == ["s2"]


def test_what_is_not_optional_stays(board: Checkerboard) -> None:
    choice = choice_of(board, [noise(0), knowing(board, board.users, 1), noise(2), noise(3)], optional=["s3"])
    assert choice.weights == {"s0": 0.0, "s1": 1.0, "s2": 0.0}


def test_sources_that_find_nothing_leave_the_first(board: Checkerboard) -> None:
    nothing = np.full((N_USERS + 1, N_ITEMS + 1), np.nan)
    choice = choice_of(board, [nothing, nothing], optional=["s1"])
    assert choice.weights == {"s0": 1.0}
    assert choice.worth == 0


# In a first stage.


def test_sources_that_stay_have_the_names_that_they_have_among_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two of a kind the first is left out: the second goes on under its name, with its settings."""
    data = small_data()
    fold = folds_of(data, "random")[0]
    models = (ItemKNNConfig(shrink=1), EASEConfig(), ItemKNNConfig(shrink=99))
    config = PipelineConfig(
        retrieval=PureSVDConfig(embedding_size=4),
        sources=tuple(SourceConfig(model=model, optional=True) for model in models),
    )
    asked = []

    def chosen(retriever, fixed, optional, users, features, fold):
        asked.append(([source.name for source in retriever.sources], fixed, optional))
        weights = {"pure_svd": 1.0, "ease": 0.5, "item_knn_2": 0.2}
        return SourceChoice(weights, {}, {}, 0.0)

    monkeypatch.setattr("belfry.pipeline.training.retrieval_stage.choose_sources", chosen)
    stage = fit_first_stage(data, fold.history, config, seed=0, validate_on=fold)
    names = ["pure_svd", "item_knn", "ease", "item_knn_2"]
    assert asked == [(names, {}, frozenset(names[1:]))]
    assert stage.tuning.weights == {"pure_svd": 1.0, "ease": 0.5, "item_knn": 0.2}
    assert list(stage.sources) == list(stage.tuning.config.named_sources) == ["pure_svd", "ease", "item_knn"]
    assert stage.tuning.config.named_sources["item_knn"].model == ItemKNNConfig(shrink=99)
    last = fit_first_stage(data, data.interactions, config, seed=0, tuning=stage.tuning)
    assert list(last.sources) == ["pure_svd", "ease", "item_knn"]
    assert last.tuning.weights == stage.tuning.weights
    assert isinstance(last.retriever, CombinedRetriever)
    assert [(source.name, source.weight) for source in last.retriever.sources] == [*stage.tuning.weights.items()]


def test_a_first_source_without_weight_has_an_index_that_looks_less_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    data, targets = small_data(), []
    popularity = SourceConfig(model=PopularityConfig())
    config = PipelineConfig(retrieval=PureSVDConfig(embedding_size=4), sources=(popularity,))

    def build(vectors, item_num, index, queries):
        targets.append(index.target)
        return ExactIndex.build(vectors, item_num)

    monkeypatch.setattr("belfry.pipeline.training.sources.build_index", build)
    stage = fit_first_stage(data, data.interactions, config, seed=0)
    for weight in (0.5, 0.0):
        weights = {"pure_svd": weight, "popularity": 1.0}
        fit_first_stage(data, data.interactions, config, seed=0, tuning=replace(stage.tuning, weights=weights))
    assert targets == [0.99, 0.99, 0.9]


def test_a_weight_of_the_config_counts_beside_a_one_of_the_first() -> None:
    data = small_data()
    fold = folds_of(data, "random")[0]
    config = PipelineConfig(
        retrieval=PureSVDConfig(embedding_size=4),
        sources=(
            SourceConfig(model=EASEConfig(), weight=0.25, optional=True),
            SourceConfig(model=PopularityConfig()),
        ),
    )
    stage = fit_first_stage(data, fold.history, config, seed=0, validate_on=fold)
    assert list(stage.tuning.weights) == ["pure_svd", "ease", "popularity"]
    assert (stage.tuning.weights["pure_svd"], stage.tuning.weights["ease"]) == (1.0, 0.25)


def test_a_run_says_what_was_chosen_and_answers_by_that_alone(
    tiny_data: Data, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is clear enough under so high a bar, so the best source alone stays, beside the first."""
    monkeypatch.setattr(source_choice, "_CLEAR", 1e9)
    config = PipelineConfig(
        retrieval=PureSVDConfig(embedding_size=4),
        sources=(
            SourceConfig(model=ItemKNNConfig(), optional=True),
            SourceConfig(model=ItemKNNConfig(shrink=1), optional=True),
        ),
        ranker=None,
        folds=2,
    )
    folder = train_and_publish(tiny_data, config, preset="default", holdout="time", seed=0, artifacts=tmp_path)
    notes = json.loads((folder / "manifest.json").read_text())["notes"]
    choice = notes["source_choice"]
    assert list(choice["alone"]) == ["pure_svd", "item_knn", "item_knn_2"]
    (best,) = choice["added"]
    assert choice["together"] == choice["added"][best] == max(choice["alone"].values())
    assert len(notes["sources"]) == (1 if best == "pure_svd" else 2)
    reason = "adds nothing clear to the other sources on validation users"
    assert notes["left_out"] == dict.fromkeys({"item_knn", "item_knn_2"} - {best}, reason)
    served = Recommender.load(folder)
    assert sorted(path.name for path in (folder / "serving" / "sources").iterdir()) == sorted(notes["sources"])
    assert len(served.recommend(served.users.ids[0].as_py(), 5)) == 5
