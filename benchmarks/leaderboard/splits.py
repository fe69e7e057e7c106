"""What systems are judged on: the splits, and the validation part that lies inside each train part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import Split, split_last_out, split_random, split_time
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from benchmarks.shops import read_sequences

INNER_SEED = 100  # of validation parts; no outer split has it


@dataclass(frozen=True)
class Case:
    """One data set, split in one way."""

    name: str
    title: str
    data: str  # as `read` knows it
    cut: Callable[[Interactions, int], Split]
    min_history: int = 1  # earlier events of a judged user, at least
    known: Mapping[str, str] = field(default_factory=dict, hash=False)  # system -> what others measured on such a split
    known_beside: str = ""  # and of systems that have no row here
    page: str = "retrieval.md"  # of docs/results, that shows it
    read: Callable[[str, Path | None], Tables] = read_data

    def load(self, data_folder: Path | None) -> Data:
        return prepare(check(self.read(self.data, data_folder))[0])

    def split(self, events: Interactions, seed: int) -> Split:
        return self.cut(events, seed)

    def validation(self, train: Interactions) -> Split:
        """The train part, split once more in the same way: what may be looked at before the test part is."""
        return self.cut(train, INNER_SEED)


def _random(events: Interactions, seed: int) -> Split:
    return split_random(events, seed=seed)


def _last(events: Interactions, seed: int) -> Split:
    return split_last_out(events)


def _time(events: Interactions, seed: int) -> Split:
    return split_time(events)


def _shop(name: str, title: str, file: str, *, sasrec: str, published: str) -> Case:
    """Each user's last event of a shop, as papers on sequential recommendation judge it."""
    return Case(
        name,
        f"{title}, each user's last event",
        file,
        _last,
        known={"sequence-attention": sasrec},
        known_beside=published,
        page="retrieval-shops.md",
        read=read_sequences,
    )


CASES = (
    Case(
        "100k-random",
        "MovieLens 100K, random 80/20",
        "ml-100k",
        _random,
        known={
            "item-knn": "NDCG@10 0.396",
            "als": "NDCG@10 0.430, recall@100 0.717, recall@200 0.844",
            "ease": "NDCG@10 0.436",
            "popularity": "NDCG@10 0.222",
            "pure-svd": "NDCG@10 0.421",
            "two-tower-bpr": "BPR: NDCG@10 0.313 to 0.40",
        },
    ),
    Case(
        "100k-last",
        "MovieLens 100K, each user's last event",
        "ml-100k",
        _last,
        known={
            "ease": "NDCG@10 0.072",
            "ease-recent": "NDCG@10 0.103, recall@100 0.597",
            "sequence-attention": "SASRec: NDCG@10 0.089, recall@100 0.618",
        },
        known_beside="two-stage recall@100 0.629",
    ),
    Case(
        "100k-time",
        "MovieLens 100K, events after 80% of them",
        "ml-100k",
        _time,
        min_history=5,
        known={
            "popularity-7-days": "NDCG@10 0.214, recall@100 0.394",
            "als": "NDCG@10 0.181",
            "ease": "NDCG@10 0.177",
            "pure-svd": "recall@100 0.375",
        },
        known_beside="two-stage recall@100 0.418",
    ),
    Case(
        "1m-random",
        "MovieLens 1M, watches without times and ratings, random 80/20",
        "ml-1m",
        _random,
        known={"ease": "NDCG@10 0.436, recall@100 0.573"},
        known_beside="two-stage recall@100 0.584",
    ),
    _shop(
        "beauty-last",
        "Amazon Beauty",
        "Beauty",
        sasrec="eSASRec: NDCG@10 0.0523, recall@10 0.0928; SASRec with sampled softmax: 0.0531, 0.0921",
        published="SASRec as first reported NDCG@10 0.032, recall@10 0.061; S3-Rec 0.033, 0.065; TIGER 0.038, 0.065; "
        "ActionPiece 0.042, 0.078; HSTU 0.044, 0.079; FuXi-alpha 0.045, 0.081",
    ),
    _shop(
        "sports-last",
        "Amazon Sports and Outdoors",
        "Sports_and_Outdoors",
        sasrec="best published: NDCG@10 0.0323, recall@10 0.0569",
        published="SASRec as first reported NDCG@10 0.019, recall@10 0.035; S3-Rec 0.020, 0.039; TIGER 0.023, 0.040; "
        "ActionPiece 0.026, 0.050",
    ),
)
