"""Parts: what a Recommender answers from, read out of a run. Imports no TensorFlow."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from belfry.dataset import columns
from belfry.dataset.encoding.table import FeatureEncoder
from belfry.dataset.errors import ArtifactError, BelfryError, cause_of
from belfry.dataset.event_weights import EventWeights
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.validation.policy import DEFAULT_POLICY, Policy
from belfry.dataset.vocabulary import UNKNOWN
from belfry.layers.saved.array_check import check_arrays, numbers
from belfry.layers.saved.files import ReadablePath, read_array
from belfry.pipeline.config import PipelineConfig, SourceConfig
from belfry.pipeline.kinds import load_labels, ranker_kind, source_kind
from belfry.pipeline.runs.data.tables import load_tables, load_user_encoder
from belfry.pipeline.runs.manifest import MANIFEST, REMEDY, invalid_file
from belfry.pipeline.runs.reader import Run
from belfry.pipeline.serving.expected_ratings import ExpectedRatings
from belfry.pipeline.serving.rules.item_columns import ITEM_COLUMNS
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.ranking.base import LabelRanker, Ranker, SavedRanker
from belfry.ranking.context.model import WEIGHTS_FILE, ContextModel
from belfry.ranking.error_variance import VARIANCE_WEIGHTS, ErrorVariance
from belfry.ranking.listwise.feature_ranker import CONTEXT
from belfry.ranking.utility import UtilityRanker
from belfry.retrieval.base import Embeddings, Retriever, Towers
from belfry.retrieval.blend import Source, combine
from belfry.retrieval.index.choose import load_index
from belfry.retrieval.indexed import IndexedRetriever
from belfry.retrieval.new_items import are_new
from belfry.retrieval.popularity import Popularity

SOURCES_FILE, SOURCES, POPULARITY, RANKER = "sources.json", "sources", "popularity", "ranker"  # of the folder
VECTORS_FILE, INDEX = "vectors.npy", "index"  # of the folder of a source
NEW_ITEM_OFFSET = "new_item_offset"  # of a source, in the notes of the manifest
_SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")  # it names a folder

SOURCES_ADAPTER = TypeAdapter(dict[str, SourceConfig])


@dataclass(frozen=True)
class Parts:
    """Both stages of a run, and what is known of it beside them."""

    run: Run
    two_stage: TwoStage
    titles: pa.Array  # [n_items] in the order of the items' numbers; null where an item has none
    event_weights: EventWeights
    reads_history: bool  # whether all towers read histories, so that new events can be folded in
    policy: Policy = DEFAULT_POLICY  # of the tables that it was trained on
    repeats: Repeats = "exclude"  # what the run was trained for: its lists without a word about seen items
    folded: str = ""  # hash of the watches that were folded in since the run was read
    user_encoder: FeatureEncoder = field(default_factory=FeatureEncoder)  # which made the features of its users


def config_of(run: Run) -> PipelineConfig:
    """The settings that a run was trained under.

    Raises:
        ArtifactError: its manifest has other ones than there are.
    """
    try:
        return PipelineConfig.model_validate(run.manifest.config)
    except ValidationError as error:
        raise invalid_file(run.folder / MANIFEST, error) from error


def load_parts(run: Run) -> Parts:
    """Read a run and answer from it once; every file of it is checked, those that are read before they are used.

    Raises:
        ArtifactError: a file is not as it was published, is of another form, or does not fit another one.
    """
    config = config_of(run)
    with _explain_misfits(run):
        features, titles = load_tables(run.root)
        user_encoder = load_user_encoder(run.root, features.users)
        two_stage = load_serving(run.path("serving"), features, config, gate_is_open=run.manifest.gate.is_open)
        _answer_once(two_stage)
    if (run.root / ITEM_COLUMNS).exists():
        run.files.keep_at_hand(ITEM_COLUMNS)
    run.files.check_unread()
    return Parts(
        run=run,
        two_stage=two_stage,
        titles=titles,
        event_weights=config.event_weights,
        reads_history=config.reads_history,
        policy=config.data,
        repeats=config.repeats,
        user_encoder=user_encoder,
    )


def load_serving(
    folder: ReadablePath, features: FeatureTables, config: PipelineConfig, *, gate_is_open: bool
) -> TwoStage:
    """What training wrote, put together; without an open gate the ranker stays out.

    Raises:
        ArtifactError: the list of sources cannot be read, or names a source outside of the run.
    """
    named = read_sources(folder / SOURCES_FILE)
    items = features.history.items.all_numbers
    sources: list[Source] = []
    searched: list[tuple[Towers, Embeddings]] = []
    for name, source in named.items():
        place, kind = folder / SOURCES / name, source_kind(source.model)
        retriever: Retriever
        if kind.has_vectors:
            vectors = _read_vectors(place / VECTORS_FILE, len(items))
            towers = kind.load_towers(place, source.model, vectors)
            searched.append((towers, vectors))
            retriever = IndexedRetriever(towers, load_index(place / INDEX, vectors[1:], items[1:]), name)
        else:
            retriever = kind.load_retriever(place)
        assert source.weight is not None  # `read_sources` saw to it
        sources.append(Source(name, retriever, source.quota, source.weight))
    first_towers, first_vectors = searched[0]
    name, first = next(iter(named.items()))
    labels = load_labels(folder / SOURCES / name, first.model)
    popularity = Popularity.load(folder / POPULARITY)
    popularity.check_fits(features)
    ranker = _load_ranker(folder, config, labels) if gate_is_open else None
    return TwoStage(
        features=features,
        towers=first_towers,
        vectors=first_vectors,
        retriever=combine(sources, are_new(features.history, features.items) if config.places_new_items else None),
        popularity=popularity,
        cold_weight=config.tower_weight_for_cold_users(features.users),
        ranker=ranker,
        n_candidates=config.n_candidates,
        ratings=_expected_ratings(folder, name, labels, ranker, config, features),
        context=_load_context(folder / RANKER / CONTEXT, features, first_vectors) if gate_is_open else None,
    )


def _read_vectors(path: ReadablePath, n_rows: int) -> Embeddings:
    """[n_rows, dim] one for each item, and the unknown one's first."""
    vectors = read_array(path)
    if vectors.ndim != 2 or len(vectors) != n_rows or not vectors.shape[1] or vectors.dtype != np.float32:
        raise ArtifactError(
            f"{path}: holds {vectors.dtype} of the shape {vectors.shape}, wanted float32 and {n_rows:,} rows, one for "
            f"each item and one more; {REMEDY}"
        )
    check_arrays(path, {"vectors": vectors}, {"vectors": numbers("n_items + 1", "dim")})
    return vectors


def _answer_once(two_stage: TwoStage) -> None:
    """Files of which each is well-formed may still not fit one another; that shows here, not at some user's call.

    Raises:
        ValueError: a score, or a rating that is expected, is not finite.
    """
    history = two_stage.features.history
    users = np.array([UNKNOWN, *history.user_num[:1]], np.int32)
    lists = two_stage.lists(users, "final", n=10, exclude=history.seen_items, blocked=np.zeros(0, np.int32))
    for name, values in {"scores": lists.score, **two_stage.told_ratings(lists)}.items():
        if not np.isfinite(values).all():
            raise ValueError(f"{name} are not finite")


@contextmanager
def _explain_misfits(run: Run) -> Iterator[None]:
    """Turn whatever wrong content leads to into an error that names the file that was read last."""
    try:
        yield
    except ArtifactError:
        raise
    except BelfryError as error:
        raise ArtifactError(f"run {run.name}: {error}") from error
    except MemoryError as error:
        raise ArtifactError(
            f"run {run.name}: takes more memory than there is; free some, or train a smaller one"
        ) from error
    except Exception as error:
        last = run.files.checked[-1] if run.files.checked else MANIFEST
        raise ArtifactError(
            f"run {run.name}: its files do not fit together, {last!r} or one before it ({cause_of(error)}); {REMEDY}"
        ) from error


def read_sources(path: ReadablePath) -> dict[str, SourceConfig]:
    """The sources of a run by name, the first one first, with the weights that were learned.

    Raises:
        ArtifactError: the file is no list of sources, or a name is none that Belfry gives.
    """
    try:
        named = SOURCES_ADAPTER.validate_json(path.read_bytes())
    except ValidationError as error:
        raise invalid_file(path, error) from error
    for name, source in named.items():
        if not _SOURCE_NAME.fullmatch(name):
            raise ArtifactError(
                f"{path}: source {name[:100]!r} cannot be a folder of the run; wanted lower-case letters, digits and "
                f"'_', a letter first; {REMEDY}"
            )
        if source.weight is None:
            raise ArtifactError(f"{path}: source {name!r} has no weight; {REMEDY}")
    if not named or not source_kind(next(iter(named.values())).model).has_vectors:
        raise ArtifactError(f"{path}: the first source has no towers; {REMEDY}")
    return named


def _load_context(folder: ReadablePath, features: FeatureTables, vectors: Embeddings) -> ContextModel | None:
    """None where events had no context, or training found none of use."""
    is_there = bool(features.history.context) and (folder / WEIGHTS_FILE).exists()
    return ContextModel.load(folder, features.history, vectors) if is_there else None


def _load_ranker(folder: ReadablePath, config: PipelineConfig, labels: LabelRanker | None) -> Ranker:
    if config.ranker is None:
        raise ArtifactError(f"{folder}: the gate is open and the config has no ranker; {REMEDY}")
    return ranker_kind(config.ranker).load(SavedRanker(folder / RANKER, config.ranker, config.pair_features, labels))


def _expected_ratings(
    folder: ReadablePath,
    first: str,
    labels: LabelRanker | None,
    ranker: Ranker | None,
    config: PipelineConfig,
    features: FeatureTables,
) -> ExpectedRatings | None:
    """By the `first` source or, where it expects no ratings, by a ranker by rating."""
    if labels is not None and columns.RATING in labels.label_names:
        known = load_error_variance(folder / SOURCES / first, features)
        return ExpectedRatings(labels, features, knows_ids_alone=False, error_variance=known)
    if ranker is not None and config.ranker is not None and ranker_kind(config.ranker).family == "ratings":
        known, labels = load_error_variance(folder / RANKER, features), cast(UtilityRanker, ranker).labels
        return ExpectedRatings(labels, features, knows_ids_alone=True, error_variance=known)
    return None


def load_error_variance(folder: ReadablePath, features: FeatureTables) -> ErrorVariance | None:
    """None where what expects ratings knows how sure they are, or no part of the history could tell."""
    history = features.history
    lengths = {"n_users": len(history.users), "n_items": len(history.items)}
    return ErrorVariance.load(folder, lengths) if (folder / VARIANCE_WEIGHTS).exists() else None
