"""IndexedRetriever: trained towers and a candidate index, together a Retriever."""

import numpy as np

from belfry.dataset.arrays import blocks, dot_products
from belfry.dataset.candidates import Candidates, take_top_k
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import UNKNOWN, ItemNums, UserNums
from belfry.retrieval.base import Embeddings, Towers
from belfry.retrieval.index.base import CandidateIndex
from belfry.retrieval.unseen import first_unseen


class IndexedRetriever:
    """Encodes users, searches the index for their vectors, and masks seen items.

    An index cannot leave items out. So it is asked for `top_k` items plus as many as the user has seen: among those,
    `top_k` are unseen, or the catalogue has no more.
    """

    def __init__(self, towers: Towers, index: CandidateIndex, origin: str = "two_tower") -> None:
        """`index` holds the candidate embeddings of `towers`; `origin` names their candidates."""
        self._towers = towers
        self._index = index
        self._origin = origin

    def retrieve(
        self, users: UserNums, features: FeatureTables, *, top_k: int, exclude: SeenItems, only: ItemNums | None = None
    ) -> Candidates:
        queries = self._towers.encode_queries(users, features)
        if (remaining := exclude.remaining) is not None:
            return self._score_remaining(queries, users, features, top_k, remaining, only)
        if only is not None:
            return self._score(queries, users, features, top_k, exclude, np.unique(only[only != UNKNOWN]))
        return first_unseen(
            lambda asked, depth: self._index.search(queries[asked], depth),
            users,
            exclude,
            n_items=len(features.history.items),
            top_k=top_k,
            origin=self._origin,
        )

    def _score_remaining(
        self,
        queries: Embeddings,
        users: UserNums,
        features: FeatureTables,
        top_k: int,
        remaining: SeenItems,
        only: ItemNums | None,
    ) -> Candidates:
        """Each user's best `top_k` of their own few items by dot products, without the index."""
        row_user, item_num = remaining.rows_of(users)
        if only is not None:
            kept = np.isin(item_num, only)
            row_user, item_num = row_user[kept], item_num[kept]
        items, column = np.unique(item_num, return_inverse=True)
        vectors = self._towers.encode_candidates(items, features)
        scores = dot_products(queries, row_user, vectors, column)
        return take_top_k(users, row_user, item_num, scores, top_k=top_k, origin=self._origin)

    def _score(
        self,
        queries: Embeddings,
        users: UserNums,
        features: FeatureTables,
        top_k: int,
        exclude: SeenItems,
        items: ItemNums,
    ) -> Candidates:
        """Each user's best `top_k` of these `items` by dot products, without the index."""
        vectors = self._towers.encode_candidates(items, features)
        found = []
        for block in blocks(len(users), len(items)):
            asked = np.arange(len(users))[block]
            scores = queries[block] @ vectors.T  # [n_asked, n_items]
            row, column = np.nonzero(~exclude.contains(*np.broadcast_arrays(users[asked][:, None], items[None])))
            found.append((asked[row], items[column], scores[row, column].astype(np.float32)))
        row_user, item_nums, scores = map(np.concatenate, zip(*found, strict=True))
        return take_top_k(users, row_user, item_nums, scores, top_k=top_k, origin=self._origin)
