"""Several sources: which the data allow, and both forms of a run that has many."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig, SourceConfig, load_config
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.training.publish import train_and_publish
from belfry.pipeline.training.sources import keep_usable
from belfry.pipeline.training.train import Trained
from belfry.retrieval.models.ease import EASEConfig
from belfry.retrieval.popularity import PopularityConfig

NO_TOO_MANY = EASEConfig(max_items=5)


@pytest.fixture
def ids_alone(tiny_data: Data) -> Data:
    return replace(tiny_data, interactions=replace(tiny_data.interactions, timestamp_s=None, rating=None))


def with_sources(*sources: SourceConfig) -> PipelineConfig:
    return PipelineConfig(sources=sources)


def test_names_are_unlike() -> None:
    sources = [SourceConfig(model=PopularityConfig(half_life_days=days)) for days in (3, 30)]
    config = with_sources(*sources, SourceConfig(model=PipelineConfig().retrieval))
    assert list(config.named_sources) == ["two_tower", "popularity", "popularity_2", "two_tower_2"]
    first = config.named_sources["two_tower"]
    assert (first.quota, first.weight) == (config.n_candidates, None)  # learned, as the others


def test_what_the_data_do_not_allow_is_left_out_if_it_may_be(ids_alone: Data, caplog: pytest.LogCaptureFixture) -> None:
    config = with_sources(
        SourceConfig(model=EASEConfig()),
        SourceConfig(model=PopularityConfig(half_life_days=7), optional=True),
        SourceConfig(model=NO_TOO_MANY, optional=True),
    )
    with caplog.at_level(logging.INFO, logger="belfry.pipeline.training.sources"):
        kept, left_out = keep_usable(config, ids_alone)
    assert list(kept.named_sources) == ["two_tower", "ease"]
    assert list(left_out) == ["popularity", "ease_2"]
    assert "half_life_days needs a timestamp_s column" in left_out["popularity"]
    assert "above ease's max_items=5" in left_out["ease_2"]
    assert len(caplog.records) == 2
    assert "source 'popularity' is left out: " in caplog.text


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (PopularityConfig(half_life_days=7), "source 'popularity': .*half_life_days needs a timestamp_s column"),
        (NO_TOO_MANY, "source 'ease': .* items are above ease's max_items=5"),
    ],
)
def test_else_it_is_refused(ids_alone: Data, model: EASEConfig | PopularityConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        keep_usable(with_sources(SourceConfig(model=model)), ids_alone)


def test_the_first_source_is_never_left_out(tiny_data: Data) -> None:
    nobody_twice = tiny_data.interactions.select(np.unique(tiny_data.interactions.user_num, return_index=True)[1])
    with pytest.raises(InputError, match="source 'two_tower': interactions: no user has two events"):
        keep_usable(PipelineConfig(), replace(tiny_data, interactions=nobody_twice))


def test_data_with_times_keep_the_default(tiny_data: Data) -> None:
    kept, left_out = keep_usable(PipelineConfig(), tiny_data)
    assert (kept, left_out) == (PipelineConfig(), {})


SETTINGS = [
    "retrieval.epochs=2",
    "retrieval.embedding_size=4",
    "n_candidates=30",
    "folds=2",
    "ranker=none",
    'sources=[{model={kind="ease", half_life="none"}, quota=20}, {model={kind="item_knn"}, quota=20, weight=0.5}, '
    '{model={kind="report", epochs=1}, quota=10}, {model={kind="popularity"}, quota=10}, '
    '{model={kind="popularity", half_life_days=2}, quota=10, optional=true}]',
]


FACTORISATIONS = [
    "retrieval.kind=feed_forward_mf",
    "retrieval.epochs=2",
    "retrieval.embedding_size=4",
    "retrieval.hidden=[8]",
    "n_candidates=30",
    "folds=2",
    "ranker=none",
    'sources=[{model={kind="als", embedding_size=4}}, {model={kind="pure_svd", embedding_size=4}}, '
    '{model={kind="logistic_mf", embedding_size=4}}, {model={kind="item2vec", epochs=2}}, '
    '{model={kind="item2vec", epochs=2, users="vector"}}]',
]


def run_of(settings: list[str], tiny_data: Data, artifacts: Path) -> tuple[Path, Trained]:
    """A run on ids alone; and how it was trained."""
    trained = []
    folder = train_and_publish(
        replace(tiny_data, interactions=replace(tiny_data.interactions, timestamp_s=None, rating=None)),
        load_config("default", holdout="random", settings=settings),
        preset="default",
        holdout="random",
        seed=0,
        artifacts=artifacts,
        before_publishing=lambda result, folder: trained.append(result),
    )
    return folder, trained[0]


@pytest.fixture(scope="module")
def many(tiny_data: Data, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """Every sort of source; recent popularity is left out."""
    return run_of(SETTINGS, tiny_data, tmp_path_factory.mktemp("many") / "artifacts")


def test_each_source_has_a_folder(many: tuple[Path, Trained]) -> None:
    folder, _ = many
    names = ["ease", "item_knn", "popularity", "report", "two_tower"]
    assert sorted(path.name for path in (folder / "serving" / "sources").iterdir()) == names
    assert sorted(path.name for path in (folder / "training" / "sources").iterdir()) == ["report", "two_tower"]
    for name in ("report", "two_tower"):
        files = {path.name for path in (folder / "serving" / "sources" / name).iterdir()}
        assert files == {"query_tower.onnx", "vectors.npy", "index"}


def test_the_manifest_says_what_counts_and_what_was_left_out(many: tuple[Path, Trained]) -> None:
    folder, trained = many
    notes = json.loads((folder / "manifest.json").read_text())["notes"]
    assert list(notes["sources"]) == ["two_tower", "ease", "item_knn", "report", "popularity"]
    offset = trained.first.tuning.new_item_offsets["two_tower"]
    epochs = trained.first.towers.model.epochs_trained
    assert notes["sources"]["two_tower"] == {"weight": 1.0, "epochs": epochs, "new_item_offset": offset}
    assert notes["sources"]["item_knn"] == {"weight": 0.5, "epochs": None, "new_item_offset": 0.0}
    assert {name: entry["weight"] for name, entry in notes["sources"].items()} == trained.first.tuning.weights
    assert list(notes["left_out"]) == ["popularity_2"]
    assert "timestamp_s" in notes["left_out"]["popularity_2"]


@pytest.mark.parametrize("only", [None, np.arange(1, 60, 3, dtype=np.int32)])
def test_both_forms_of_many_sources_agree(many: tuple[Path, Trained], only: np.ndarray | None) -> None:
    assert_both_forms_agree(*many, only)


def test_both_forms_of_the_factorisations_agree(tiny_data: Data, tmp_path: Path) -> None:
    assert_both_forms_agree(*run_of(FACTORISATIONS, tiny_data, tmp_path / "artifacts"), None)


def assert_both_forms_agree(folder: Path, trained: Trained, only: np.ndarray | None) -> None:
    served = Recommender.load(folder).two_stage
    users = np.arange(1, len(served.features.history.users) + 1, dtype=np.int32)
    exclude: SeenItems = served.features.history.seen_items
    nobody = np.zeros(0, np.int32)
    one, other = (
        stages.lists(users, "retrieval", n=20, exclude=exclude, blocked=nobody, only=only)
        for stages in (trained.two_stage, served)
    )
    assert one.item_num.tolist() == other.item_num.tolist()
    np.testing.assert_allclose(one.score, other.score, atol=1e-4)
    assert one.origins == other.origins
    assert set(trained.first.tuning.weights) <= set(one.origins)  # and "cold"
    assert len(one) > 100
