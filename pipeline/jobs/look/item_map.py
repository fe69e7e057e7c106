"""The map of the items: vectors on a plane, neighbours, and how similar pairs are."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from belfry.dataset.errors import needed
from belfry.dataset.vocabulary import ItemNums
from belfry.evaluation.reports.exploration.result import Colouring, ItemMap, Projection, Similarities
from belfry.pipeline.progress import Progress, silent
from belfry.pipeline.serving.neighbours import Neighbourhood
from belfry.pipeline.serving.recommender import Recommender
from belfry.retrieval.index.scann_library import tensorflow_hidden

N_SIMILAR = 10
MIN_ITEMS = 5  # with fewer there is no map
_N_NEAR = 14  # that UMAP reads of each item, as many as it takes by default with the item itself
_BLOCK = 512  # items whose cosines are computed at a time
_N_PAIRS = 50_000
_BINS = np.linspace(-1, 1, 41)

Plane = npt.NDArray[np.float64]  # [n_items, 2]
Floats = npt.NDArray[np.float32]
Near = tuple[npt.NDArray[np.int64], Floats]  # [n_items, k] places of the most similar items, and their cosines


def check_library() -> None:
    """Raises InputError: scikit-learn is not installed."""
    needed("sklearn.manifold", "explore", "explore")


def shown_items(recommender: Recommender, most: int) -> ItemNums:
    """The items of most users, most first."""
    counts = recommender.features.history.item_counts[1:]
    return (np.argsort(-counts, kind="stable")[:most] + 1).astype(np.int32)


def item_map(
    recommender: Recommender,
    items: ItemNums,
    titles: Sequence[str | None],
    colourings: Sequence[Colouring],
    *,
    seed: int,
    progress: Progress = silent,
) -> ItemMap:
    """Args: `items` that are shown, with `titles` of theirs; neighbours are taken among these."""
    history = recommender.features.history
    directions = _directions(recommender, items)
    near, cosines = _nearest(directions)
    n_users = history.item_counts[items]
    popularity = Colouring("users", "number", tuple(map(float, n_users.tolist())))
    projections = []
    ways = _WAYS if len(items) >= MIN_ITEMS else {}
    for done, (name, (project, how)) in enumerate(ways.items()):
        progress("map", done, len(ways))
        if (plane := project(directions, (near, cosines), seed)) is not None:
            x, y = _within(plane)
            projections.append(Projection(name, how, x, y))
    return ItemMap(
        ids=tuple(recommender.items.take(items).to_pylist()),
        titles=tuple(titles),
        n_users=tuple(n_users.tolist()),
        projections=tuple(projections),
        colourings=(popularity, *colourings),
        neighbours=tuple(map(tuple, near[:, :N_SIMILAR].tolist())),
        cosines=tuple(map(tuple, cosines[:, :N_SIMILAR].round(3).tolist())),
        n_left_out=len(recommender.items) - len(items),
    )


def similarities(recommender: Recommender, items: ItemNums, found: ItemMap, *, seed: int) -> Similarities:
    """Of the items on the map, of pairs in one user's history, and of random ones."""
    generator, directions = np.random.default_rng(seed), _directions(recommender, items)
    first, second = generator.integers(0, len(items), (2, _N_PAIRS))
    seen = recommender.features.history.seen_items
    place = np.full(len(recommender.items) + 1, -1)
    place[items] = np.arange(len(items))
    counts = np.diff(seen.starts)
    users = generator.choice(np.flatnonzero(counts > 1), _N_PAIRS) if (counts > 1).any() else np.zeros(0, np.int64)
    picks = [place[seen.item_num[seen.starts[users] + generator.integers(0, counts[users])]] for _ in range(2)]
    return Similarities(
        nearest=_shares(np.array([row[0] for row in found.cosines if row])),
        of_one_user=_shares(_cosines(directions, *picks)),
        random=_shares(_cosines(directions, first, second)),
    )


def _directions(recommender: Recommender, items: ItemNums) -> Floats:
    """[n_items, dim] of unit length, as `similar_items` compares them: standardised over the whole catalogue."""
    n = len(recommender.items)
    members = np.arange(1, n + 1, dtype=np.int32)
    return Neighbourhood(recommender.two_stage.vectors, members).directions(n)[items]


def _nearest(directions: Floats) -> Near:
    """Nearest first, `_N_NEAR` of them."""
    n, k = len(directions), min(_N_NEAR, len(directions) - 1)
    near, cosines = np.zeros((n, k), np.int64), np.zeros((n, k), np.float32)
    for start in range(0, n, _BLOCK):
        block = directions[start : start + _BLOCK] @ directions.T
        rows = np.arange(len(block))[:, None]
        block[rows[:, 0], start + rows[:, 0]] = -np.inf
        best = np.argpartition(-block, k - 1, axis=1)[:, :k] if k else np.zeros((len(block), 0), np.int64)
        best = np.take_along_axis(best, np.argsort(-block[rows, best], axis=1, kind="stable"), axis=1)
        near[start : start + _BLOCK], cosines[start : start + _BLOCK] = best, block[rows, best]
    return near, cosines


def _tsne(directions: Floats, near: Near, seed: int) -> Plane:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(directions) - 1) / 3)
    start = "pca" if directions.shape[1] > 1 and directions.any() else "random"
    return np.asarray(TSNE(init=start, perplexity=perplexity, random_state=seed, n_jobs=1).fit_transform(directions))


def _umap(directions: Floats, near: Near, seed: int) -> Plane | None:
    """None where the library is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on threads, and on what its compiler will change some day
        try:
            with tensorflow_hidden():  # which it would load, for a network that is not used
                from umap import UMAP
        except ImportError:
            return None
        # Its own search sorts all pairs of a small catalogue, and takes longer than the map.
        itself = np.arange(len(directions))[:, None]
        n_near = min(_N_NEAR + 1, len(directions) - 1)
        places = np.append(itself, near[0], axis=1)[:, :n_near].astype(np.int32)
        distances = np.append(0 * itself, 1 - near[1], axis=1)[:, :n_near].clip(0).astype(np.float32)
        start = "spectral" if len(directions) > 4 * n_near else "random"
        found = UMAP(
            n_neighbors=n_near,
            precomputed_knn=(places, distances, None),
            metric="cosine",
            init=start,
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(found.fit_transform(directions), np.float64)


_WAYS: dict[str, tuple[Callable[[Floats, Near, int], Plane | None], str]] = {
    "t-SNE": (_tsne, "t-SNE keeps near items near."),
    "UMAP": (_umap, "UMAP keeps near items near, and more of how groups lie."),
}


def _within(plane: Plane) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Turned so that the plane is widest from left to right, from 0 to `Projection.SIZE` there."""
    centred = plane - plane.mean(axis=0)
    turned = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    low, high = turned.min(axis=0), turned.max(axis=0)
    placed = np.round((turned - low) / max(float((high - low).max()), 1e-9) * Projection.SIZE).astype(np.int64)
    return tuple(placed[:, 0].tolist()), tuple(placed[:, 1].tolist())


def _cosines(directions: Floats, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Floats:
    """Of pairs of different items that are on the map."""
    kept = (first >= 0) & (second >= 0) & (first != second)
    return np.asarray(np.einsum("ij,ij->i", directions[first[kept]], directions[second[kept]]), np.float32)


def _shares(cosines: Floats) -> tuple[tuple[float, float], ...]:
    counts, edges = np.histogram(cosines.clip(-1, 1), _BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    return tuple(zip(middles.round(3).tolist(), (counts / max(counts.sum(), 1)).round(5).tolist(), strict=True))
