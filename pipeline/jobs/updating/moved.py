"""The models of an updated run: closed forms of the history are computed anew, what was learned is carried over."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.folds import sample_users
from belfry.layers.saved.files import read_array, save_arrays
from belfry.pipeline.config import PipelineConfig, SourceConfig
from belfry.pipeline.jobs.updating.placement import Placement
from belfry.pipeline.kinds import source_kind
from belfry.pipeline.runs.manifest import MANIFEST, REMEDY
from belfry.pipeline.runs.reader import Run
from belfry.pipeline.serving.load import (
    INDEX,
    NEW_ITEM_OFFSET,
    POPULARITY,
    RANKER,
    SOURCES,
    SOURCES_FILE,
    VECTORS_FILE,
    read_sources,
)
from belfry.pipeline.training.sources import N_INDEX_QUERIES
from belfry.ranking.context.model import WEIGHTS_FILE, ContextModel, read_weights
from belfry.ranking.context.statistics import ContextStatistics
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.listwise.feature_ranker import CONTEXT, FEATURES
from belfry.retrieval.base import Embeddings, Towers
from belfry.retrieval.index.choose import build_index
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.index.measure import measure_index
from belfry.retrieval.new_items import added_to_new
from belfry.retrieval.popularity import Popularity

_SERVING = "serving"


def carry_models(run: Run, placement: Placement, folder: Path) -> dict[str, JsonValue]:
    """Write the serving form as it was into the new run in `folder`, for no items but those that were there.

    Raises:
        ArtifactError: a file of `run` is not as it was published.
        InputError: there are new items, of which there are no statistics; or a model has no place for new users.
    """
    if n_new := len(placement.numbering.new_items):
        raise InputError(f"{n_new:,} items are new and have no statistics yet; update without keeping statistics")
    serving = run.path(_SERVING)
    sources = read_sources(serving / SOURCES_FILE)
    of_all = [name for name, source in sources.items() if not source_kind(source.model).has_vectors]
    of_ranker = (f"{RANKER}/{FEATURES}/", f"{RANKER}/{CONTEXT}/")
    stays = (SOURCES_FILE, f"{POPULARITY}/", *of_ranker, *(f"{SOURCES}/{name}/" for name in of_all))
    for file in serving.names():
        if file.startswith(stays) or f"/{INDEX}/" in file:
            (serving / file).copy(folder / _SERVING / file)
        else:
            placement.carry(serving, file, folder / _SERVING)
    return {"index": run.manifest.notes.get("index")}


def write_models(run: Run, config: PipelineConfig, placement: Placement, folder: Path) -> dict[str, JsonValue]:
    """Write the serving form of today into the new run in `folder`; returns what it has to note of the first index.

    Raises:
        ArtifactError: a file of `run` is not as it was published.
        InputError: a model has no place for new ids, or cannot be computed of today's history.
    """
    features, serving, target = placement.features, run.path(_SERVING), folder / _SERVING
    target.mkdir()
    (target / SOURCES_FILE).write_bytes((serving / SOURCES_FILE).read_bytes())
    note: JsonValue = run.manifest.notes.get("index")
    for number, (name, source) in enumerate(read_sources(serving / SOURCES_FILE).items()):
        try:
            measured = _write_source(run, name, source, config, placement, target / SOURCES / name)
        except InputError as error:
            raise InputError(f"source {name!r}: {error}; train again on all tables together") from error
        if number == 0 and measured is not None:
            note = measured
    Popularity(config.popularity).fit(features.history, features, seed=run.manifest.seed).save(target / POPULARITY)
    _write_ranker(run, config, placement, target / RANKER)
    return {"index": note}


def _write_source(
    run: Run, name: str, source: SourceConfig, config: PipelineConfig, placement: Placement, target: Path
) -> JsonValue:
    """One source; the measurement of its index where that was built anew."""
    model, features = source.model, placement.features
    kind = source_kind(model)
    history, items = features.history, features.history.items.all_numbers
    before = run.root / _SERVING / SOURCES / name
    if not kind.has_vectors:
        kind.make_retriever(model).fit(history, features, seed=run.manifest.seed).save(target)
        return None
    towers: Towers
    if kind.is_closed_form:
        fitted = kind.make_towers(model).fit(history, features, seed=run.manifest.seed)
        target.mkdir(parents=True)
        fitted.export(target, features)
        towers, vectors = fitted, fitted.encode_candidates(items, features)
        np.save(target / VECTORS_FILE, vectors)
    else:
        added = added_to_new(_offset_of(run, name), config.new_items)
        for file in before.names():
            if not file.startswith(f"{INDEX}/"):
                placement.carry(before, file, target, by_features=kind.places_new_items, added=added)
        vectors = read_array(target / VECTORS_FILE)
        if placement.numbering.is_as_before and np.array_equal(vectors, read_array(before / VECTORS_FILE)):
            for file in (before / INDEX).names():
                (before / INDEX / file).copy(target / INDEX / file)
            return None
        towers = kind.load_towers(target, model, vectors)
    config = config.model_copy(update={"index": config.index.for_weight(source.weight)})
    return _write_index(towers, vectors, config, placement, target / INDEX, seed=run.manifest.seed)


def _offset_of(run: Run, name: str) -> float:
    """What training learned of the source's scores of new items.

    Raises:
        ArtifactError: the manifest has no number there.
    """
    sources = run.manifest.notes.get("sources")
    noted = sources.get(name) if isinstance(sources, dict) else None
    offset = noted.get(NEW_ITEM_OFFSET) if isinstance(noted, dict) else None
    if not isinstance(offset, float | int):
        raise ArtifactError(f"{run.folder / MANIFEST}: notes no {NEW_ITEM_OFFSET!r} of source {name!r}; {REMEDY}")
    return float(offset)


def _write_index(
    towers: Towers, vectors: Embeddings, config: PipelineConfig, placement: Placement, target: Path, *, seed: int
) -> JsonValue:
    features = placement.features
    items = features.history.items.all_numbers[1:]
    with_history = np.flatnonzero(np.diff(features.history.by_user.starts)).astype(np.int32)
    queries = towers.encode_queries(sample_users(with_history, N_INDEX_QUERIES, seed=seed), features)
    index = build_index(vectors[1:], items, config.index, queries)
    index.save(target)
    return asdict(measure_index(index, ExactIndex.build(vectors[1:], items), queries, config.n_candidates))


def _write_ranker(run: Run, config: PipelineConfig, placement: Placement, target: Path) -> None:
    """The ranker as it was, and the statistics that it reads as they are today; nothing where there is none."""
    before = run.root / _SERVING / RANKER
    files = before.names()
    for file in files:
        if not file.startswith((f"{FEATURES}/", f"{CONTEXT}/")):
            placement.carry(before, file, target)
    if any(file.startswith(f"{FEATURES}/") for file in files):
        save_arrays(target / FEATURES, PairFeatures.fit(placement.features, config.pair_features).arrays)
    if f"{CONTEXT}/{WEIGHTS_FILE}" in files:
        first = next(iter(read_sources(target.parent / SOURCES_FILE)))
        vectors = read_array(target.parent / SOURCES / first / VECTORS_FILE)
        context = ContextStatistics.fit(placement.features.history, vectors)
        ContextModel(read_weights(before / CONTEXT), context).save(target / CONTEXT)


def copy_training(run: Run, folder: Path) -> None:
    """The weights, to train on from, byte by byte."""
    training = run.root / "training"
    for name in training.names():
        (training / name).copy(folder / "training" / name)
