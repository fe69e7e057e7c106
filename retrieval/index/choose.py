"""Choose an index, or load the one that was saved. ScaNN is imported only where it is used."""

import logging

from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.vocabulary import ItemNums
from belfry.layers.saved.files import ReadablePath
from belfry.retrieval.index.base import CandidateIndex, Vectors
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.index.files import read_manifest
from belfry.retrieval.index.scann import ScannIndex
from belfry.retrieval.index.scann_library import scann_problem
from belfry.retrieval.index.tune import least_effort

log = logging.getLogger(__name__)


def build_index(vectors: Vectors, item_num: ItemNums, config: IndexConfig, queries: Vectors) -> CandidateIndex:
    """ScaNN where it is usable, else exact, unless the config decides.

    An approximate one looks as hard as its target asks for on `queries` [n_queries, dim], best those of real users;
    without any, as hard as usual.

    Raises:
        InputError: the vectors are unusable (see `CandidateIndex.build`), or `config` wants ScaNN where it cannot run.
    """
    if config.kind == "exact":
        return ExactIndex.build(vectors, item_num)
    problem = scann_problem()
    if problem is None:
        index = ScannIndex.build(vectors, item_num)
        if index.is_exact or not len(queries):
            return index
        effort = least_effort(index, ExactIndex.build(vectors, item_num), queries, config.target)
        return index.with_effort(effort)
    if config.kind == "scann":
        raise InputError(f"index: {problem}; set kind to 'auto' or 'exact'")
    log.warning("exact index instead of ScaNN: %s", problem)
    return ExactIndex.build(vectors, item_num)


def load_index(directory: ReadablePath, vectors: Vectors, item_num: ItemNums) -> CandidateIndex:
    """The index saved in `directory`; where ScaNN cannot run, its vectors are searched exactly.

    Args:
        vectors, item_num: those that it was built of.

    Raises:
        ArtifactError: a file is missing, damaged, or none of ours; or the index is of other vectors.
    """
    kind = read_manifest(directory).kind
    if kind == "exact":
        return ExactIndex.load(directory, vectors, item_num)
    if kind != "scann":
        raise ArtifactError(f"index: {directory} is of a kind {kind[:20]!r}, which is none of ours; train again")
    problem = scann_problem()
    if problem is None:
        return ScannIndex.load(directory, vectors, item_num)
    log.warning("exact index instead of ScaNN: %s", problem)
    return ExactIndex.load(directory, vectors, item_num)
