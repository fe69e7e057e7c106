"""Gives failed asserts of `tests/contracts` pytest's explanations, and every test the same small trained run.

`tests` is a package, so that its parent comes to be on the path and not itself: `tests/dataset` would hide `dataset`.
"""

import gc
import os
from dataclasses import replace

import hypothesis
import pytest

from belfry.dataset.prepare import prepare
from belfry.dataset.sources.demo import generate
from belfry.dataset.split import split_time
from belfry.dataset.validation.check import check
from belfry.pipeline.config import load_config

# A machine with other work would fail tests by its clock.
hypothesis.settings.register_profile("belfry", deadline=None)
hypothesis.settings.load_profile("belfry")

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that import ONNX Runtime themselves

pytest.register_assert_rewrite(
    "tests.contracts.index", "tests.contracts.ranker", "tests.contracts.ratings", "tests.contracts.retriever"
)

TINY_SETTINGS = (
    "retrieval.epochs=10",
    "retrieval.embedding_size=16",
    "folds=2",
    "ranker.epochs=2",
    "ranker.min_steps=40",
    "ranker.members=2",
    "n_candidates=40",
    'sources=[{model={kind="popularity", half_life_days=14, segment_smoothing=20}, quota=10}]',
)


@pytest.fixture(scope="module", autouse=True)
def no_collection_of_what_stays() -> None:
    """Imports and the graphs of earlier tests are not looked through again: statsmodels collects at every call."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_data():
    """150 users of the demo world, all that they did."""
    return prepare(check(generate(n_users=150, n_items=120, n_watches=4_000))[0])


@pytest.fixture(scope="session")
def tiny_split(tiny_data):
    """Their watches, cut in time: `tiny_run` knows the train part."""
    return split_time(tiny_data.interactions)


@pytest.fixture(scope="session")
def tiny_published(tiny_data, tiny_split, tmp_path_factory):
    """(run folder, its stages in training form) of both stages, trained in some five seconds; only to be read."""
    from belfry.pipeline.training.publish import train_and_publish

    trained = []
    folder = train_and_publish(
        replace(tiny_data, interactions=tiny_split.train),
        load_config("default", holdout="time", settings=TINY_SETTINGS),
        preset="default",
        holdout="time",
        seed=0,
        artifacts=tmp_path_factory.mktemp("tiny") / "artifacts",
        before_publishing=lambda result, folder: trained.append(result.two_stage),
    )
    return folder, trained[0]


@pytest.fixture(scope="session")
def tiny_run(tiny_published):
    return tiny_published[0]


@pytest.fixture(scope="session")
def tiny_stages(tiny_published):
    """The stages of `tiny_run` in training form."""
    return tiny_published[1]
