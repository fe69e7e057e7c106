"""Each kind of both registries on a tiny world: it is trained, published, and answers as it did before publishing."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.prepare import Data
from belfry.pipeline.config import load_config
from belfry.pipeline.kinds import RANKER_KINDS, SOURCE_KINDS
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stage, TwoStage
from belfry.pipeline.training.publish import train_and_publish
from belfry.pipeline.training.train import train
from tests.pipeline.small_world import N_USERS, small_data

QUICK = {  # of every kind that has such a setting
    "embedding_size": 4,
    "epochs": 1,
    "members": 1,
    "min_steps": 1,
    "max_steps": 2,
    "trees": 5,
    "min_rows": 5,
    "warm_up": 1,
    "sweeps": 2,
    "watch_vectors": 2,
    "widths": [4],
    "size": 4,
    "n_factors": 2,
    "max_length": 6,
    "time": "true",
    "context": "true",
}
USERS = np.arange(1, N_USERS + 1, dtype=np.int32)
# Left to the slow run, for others train, publish and answer by the same code; two_tower does so in many tests, and
# multitask in test_multitask_preset.
SLOW_SOURCES = {"two_tower", "report", "feed_forward_mf", "autoencoder", "rbm", "multitask"}
SLOW_NETWORKS = {"cross", "wide_deep", "neural_mf", "attention", "transformer"}
SLOW_RANKERS = SLOW_NETWORKS | {"deep_regressor", "hybrid_regressor"}


@pytest.fixture(scope="module")
def data() -> Data:
    return small_data()


def each(kinds: Iterable[str], slow: Set[str]) -> list[object]:
    """Parameters."""
    return [pytest.param(kind, marks=[pytest.mark.slow] if kind in slow else []) for kind in kinds]


def quick(place: str, kind: str, fields: Sequence[str]) -> list[str]:
    """Settings of little training."""
    return [f"{place}.kind={kind}", *(f"{place}.{name}={value}" for name, value in QUICK.items() if name in fields)]


def lists_of(stages: TwoStage, stage: Stage) -> tuple[list[int], list[int], np.ndarray]:
    seen, nothing = stages.features.history.seen_items, np.zeros(0, np.int32)
    lists = stages.lists(USERS, n=5, stage=stage, exclude=seen, blocked=nothing)
    assert len(lists) > 100
    assert not seen.contains(lists.user_num, lists.item_num).any()
    return lists.user_num.tolist(), lists.item_num.tolist(), lists.score


def assert_answers_as_trained(data: Data, settings: Sequence[str], stage: Stage, artifacts: Path) -> Recommender:
    trained = []
    folder = train_and_publish(
        data,
        load_config("default", holdout="time", settings=["n_candidates=12", "folds=2", *settings]),
        preset="default",
        holdout="time",
        seed=0,
        artifacts=artifacts,
        before_publishing=lambda result, _: trained.append(result.two_stage),
    )
    recommender = Recommender.load(folder)
    users, items, score = lists_of(recommender.two_stage, stage)
    expected_users, expected_items, expected_score = lists_of(trained[0], stage)
    assert users == expected_users
    np.testing.assert_allclose(score, expected_score, atol=1e-4)
    alike = np.array(items) == np.array(expected_items)
    assert alike.mean() > 0.98  # the rest are ties that rounding decides
    assert len(recommender.recommend(recommender.users.ids[0].as_py(), 3)) == 3
    return recommender


@pytest.mark.parametrize("kind", each((kind for kind, row in SOURCE_KINDS.items() if row.has_vectors), SLOW_SOURCES))
def test_each_kind_with_vectors_answers_as_first_source(kind: str, data: Data, tmp_path: Path) -> None:
    settings = ["ranker=none", "sources=[]", *quick("retrieval", kind, list(SOURCE_KINDS[kind].config.model_fields))]
    assert_answers_as_trained(data, settings, "retrieval", tmp_path)


# history proposes seen items alone: see test_repeats
@pytest.mark.parametrize(
    "kind", [kind for kind, row in SOURCE_KINDS.items() if not row.has_vectors and kind != "history"]
)
def test_each_kind_without_vectors_answers_as_further_source(kind: str, data: Data, tmp_path: Path) -> None:
    source = f'sources=[{{model={{kind="{kind}"}}, quota=12, weight=1}}]'
    settings = ["ranker=none", "retrieval.kind=pure_svd", "retrieval.embedding_size=4", source]
    served = assert_answers_as_trained(data, settings, "retrieval", tmp_path)
    assert kind in served.recommend_many(served.users.ids, 5, stage="retrieval")["origin"].to_pylist()


@pytest.mark.parametrize("kind", each(RANKER_KINDS, SLOW_RANKERS))
def test_each_kind_of_ranker_orders_the_lists(
    kind: str, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little training on little data, so the gate is held open."""
    for trainer in ("list_trainer", "rating_trainer"):
        monkeypatch.setattr(
            f"belfry.pipeline.training.{trainer}.evaluate_gate",
            lambda *lists, **options: Gate(is_open=True, reason="held open"),
        )
    settings = [
        "sources=[]",
        *quick("retrieval", "pure_svd", ["embedding_size"]),
        *quick("ranker", kind, list(RANKER_KINDS[kind].config.model_fields)),
        *(["ranker.n_heads=2"] if kind == "transformer" else []),
    ]
    served = assert_answers_as_trained(data, settings, "final", tmp_path)
    assert served.run.manifest.gate.is_open
    _, _, score = lists_of(served.two_stage, "final")
    assert 0 < score.min() < score.max() < 1  # probabilities, which retrieval's scores are not


@pytest.mark.parametrize("extras", ["true", "false"])
@pytest.mark.parametrize("encoder", ["attention", "recurrent"])
@pytest.mark.slow
def test_sequences_of_any_sort_can_be_published(encoder: str, extras: str, data: Data, tmp_path: Path) -> None:
    """Layers of one sort have weights of equal names, which one HDF5 file cannot hold."""
    settings = quick("retrieval", "sequence", ["embedding_size", "epochs", "max_length"])
    choice = [f"retrieval.encoder={encoder}", f"retrieval.context={extras}", f"retrieval.time={extras}"]
    assert_answers_as_trained(data, ["ranker=none", "sources=[]", *settings, *choice], "retrieval", tmp_path)


@pytest.mark.parametrize("kind", each(SOURCE_KINDS, SLOW_SOURCES - {"two_tower"}))
def test_a_kind_reads_weights_or_says_that_it_does_not(kind: str, data: Data, caplog: pytest.LogCaptureFixture) -> None:
    """Taught by watches that count alike, and by others that do not."""
    row = SOURCE_KINDS[kind]
    settings = quick("retrieval", kind, [name for name in row.config.model_fields if name not in ("time", "context")])
    weight = np.where(np.arange(len(data.interactions)) % 3, 0.2, 5).astype(np.float32)
    found = []
    for weights in (None, weight):
        own = replace(data, interactions=replace(data.interactions, weight=weights))
        if row.has_vectors:
            config = load_config("default", holdout="time", settings=["ranker=none", "sources=[]", *settings])
        else:
            source = f'sources=[{{model={{kind="{kind}"}}, quota=12, weight=1}}]'
            config = load_config("default", holdout="time", settings=["ranker=none", "retrieval.kind=pure_svd", source])
        stages = train(own, config, holdout="time", seed=0).two_stage
        found.append(lists_of(stages, "retrieval")[2])
    told = [record.getMessage() for record in caplog.records if "weights of watches" in record.getMessage()]
    assert (len(found[0]) != len(found[1]) or (found[0] != found[1]).any()) == row.reads_weight
    named = any(f"source {kind!r}" in line for line in told)
    assert named == (not row.reads_weight)
    assert len(told) <= 1


def test_the_ranker_is_named_beside_the_sources(data: Data, caplog: pytest.LogCaptureFixture) -> None:
    weighed = replace(data.interactions, weight=1 + np.arange(len(data.interactions), dtype=np.float32))
    settings = [
        "retrieval.kind=pure_svd",
        "sources=[]",
        "folds=2",
        "n_candidates=12",
        *quick("ranker", "bayesian_factorisation", list(RANKER_KINDS["bayesian_factorisation"].config.model_fields)),
    ]
    config = load_config("default", holdout="time", settings=settings)
    train(replace(data, interactions=weighed), config, holdout="time", seed=0)
    told = [record.getMessage() for record in caplog.records if "weights of watches" in record.getMessage()]
    assert told == [
        "weights of watches are not read by source 'pure_svd', ranker 'bayesian_factorisation': there all watches "
        "count alike"
    ]
