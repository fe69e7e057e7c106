"""The shops that papers on sequential recommendation report on, and what they report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.dataset.validation.order import ROWS
from belfry.dataset.validation.policy import Policy
from benchmarks.leaderboard.splits import Case
from benchmarks.shops import read_sequences, text_of

ATTRIBUTES = "attributes"  # column of an item's categories and brand


def read_attributes(name: str, data_folder: Path | None) -> pa.Table:
    """A table of items with one column of lists: `shops/<name>_item2attributes.json`, item -> numbers."""
    found: Mapping[str, Sequence[int]] = json.loads(text_of(f"{name}_item2attributes.json", data_folder))
    lists = pa.array([list(map(str, numbers)) for numbers in found.values()], pa.list_(pa.string()))
    return pa.table({columns.ITEM_ID: pa.array(map(int, found), pa.int64()), ATTRIBUTES: lists})


@dataclass(frozen=True)
class ShopCase(Case):
    """Two columns of ids, whose rows are in order, or are not known to be."""

    in_order: bool = True
    with_attributes: bool = False

    def load(self, data_folder: Path | None) -> Data:
        ids = read_sequences(self.data, data_folder).interactions.select([columns.USER_ID, columns.ITEM_ID])
        items = read_attributes(self.data, data_folder) if self.with_attributes else None
        return prepare(check(Tables(ids, items), Policy(order=ROWS if self.in_order else None))[0])


@dataclass(frozen=True)
class Published:
    """What others report of each user's last event: full ranking, seen items removed."""

    system: str
    ndcg: str  # @10, with the digits that are known
    recall: str  # @10
    source: str


_S3_REC = "Zhou et al., S3-Rec, CIKM 2020"
_TIGER = "Rajput et al., Recommender systems with generative retrieval, NeurIPS 2023"
_ACTION_PIECE = "Hou et al., ActionPiece, ICML 2025"
_ESASREC = "Tikhonovich et al., eSASRec, RecSys 2025"
PUBLISHED: Mapping[str, Sequence[Published]] = {  # file of a shop -> what is known of it
    "Beauty": (
        Published("SASRec, as first reported", "0.032", "0.061", _S3_REC),
        Published("S3-Rec", "0.033", "0.065", _S3_REC),
        Published("TIGER", "0.038", "0.065", _TIGER),
        Published("ActionPiece", "0.042", "0.078", _ACTION_PIECE),
        Published("HSTU", "0.044", "0.079", f"re-run in {_ESASREC}"),
        Published("FuXi-alpha", "0.045", "0.081", f"re-run in {_ESASREC}"),
        Published("eSASRec", "0.0523", "0.0928", _ESASREC),
        Published("SASRec with sampled softmax", "0.0531", "0.0921", _ESASREC),
    ),
    "Sports_and_Outdoors": (
        Published("SASRec, as first reported", "0.019", "0.035", _S3_REC),
        Published("S3-Rec", "0.020", "0.039", _S3_REC),
        Published("TIGER", "0.023", "0.040", _TIGER),
        Published("ActionPiece", "0.026", "0.050", _ACTION_PIECE),
        Published("best of eSASRec and SASRec with sampled softmax", "0.0323", "0.0569", _ESASREC),
    ),
}
