"""PooledRetriever: several sources propose, the towers score."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataset.candidates import Candidates, take_top_k
from dataset.features import FeatureTables
from dataset.interactions import Mask, Positions, SeenItems
from dataset.vocabulary import Numbers
from retrieval.base import Embeddings, Retriever, Towers
from retrieval.dense import blocks
from retrieval.indexed import IndexedRetriever


class PooledRetriever:
    """The first source's list and, of each further source, the best that no earlier one has brought.

    Every score is the dot product of the towers' own embeddings, whoever brought the item, so that one order holds;
    `origin` says who did. All sources promise unseen items only, and so does the pool.
    """

    def __init__(
        self,
        first: IndexedRetriever,
        vectors: Embeddings,
        towers: Towers,
        others: Sequence[tuple[Retriever, int]],
    ) -> None:
        """`first` searches `vectors` [n_items + 1, dim], whose row i is what `towers` make of item i.

        Each of `others` comes with its quota: how many items it may add to a list.
        """
        self._first = first
        self._vectors = vectors
        self._towers = towers
        self._others = tuple(others)

    def retrieve(self, users: Numbers, features: FeatureTables, *, top_k: int, exclude: SeenItems) -> Candidates:
        """`top_k` items of the first source, and the quotas on top of them."""
        queries = self._towers.encode_queries(users, features)
        brought = [self._first.search(queries, users, top_k=top_k, exclude=exclude)]
        for source, quota in self._others:
            top_k += quota  # all the others may have brought, and its own quota
            proposed = source.retrieve(users, features, top_k=top_k, exclude=exclude)
            brought.append(proposed.select(self._additions(proposed, brought, quota)))
        row_user = np.concatenate([part.row_user for part in brought])
        item_num = np.concatenate([part.item_num for part in brought])
        score = np.empty(len(row_user), np.float32)
        for rows in blocks(len(row_user), self._vectors.shape[1]):
            asked, offered = queries.take(row_user[rows], axis=0), self._vectors.take(item_num[rows], axis=0)
            score[rows] = np.einsum("ij,ij->i", asked, offered)
        origin, origins = _merged_origins(brought)
        return take_top_k(users, row_user, item_num, score, top_k=top_k, origin=origin, origins=origins)

    def _additions(self, proposed: Candidates, brought: Sequence[Candidates], quota: int) -> Mask:
        """[n_rows] each user's best `quota` of the proposed rows that nobody has `brought`."""
        taken = np.concatenate([self._cells(part) for part in brought])
        is_new = np.isin(self._cells(proposed), taken, invert=True)
        n_new = np.append(0, np.cumsum(is_new))
        n_new_of_user = n_new[1:] - n_new[proposed.starts[proposed.row_user]]
        return np.asarray(is_new & (n_new_of_user <= quota))

    def _cells(self, candidates: Candidates) -> Positions:
        """[n_rows] one number for each pair of asked user and item."""
        return candidates.row_user * len(self._vectors) + candidates.item_num


def _merged_origins(parts: Sequence[Candidates]) -> tuple[npt.NDArray[np.int8], tuple[str, ...]]:
    """`origin` and `origins` of all rows, the origins of each part behind those of the parts before it."""
    names: tuple[str, ...] = ()
    origin = []
    for part in parts:
        origin.append(part.origin + np.int8(len(names)))
        names += part.origins
    return np.concatenate(origin), names
