"""The shops that papers on sequential recommendation report on, and what they report."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import Policy, check
from belfry.dataset.validation.order import ROWS
from benchmarks.leaderboard.splits import Case

ATTRIBUTES = "attributes"  # column of an item's categories and brand


def read_sequences(name: str, data_folder: Path | None) -> Tables:
    """The file `shops/<name>.txt` of `data_folder`: a line a user, `user item item ...`, oldest first.

    The time of an event is its place in the line.

    Source: the files of Zhou et al., S3-Rec: Self-supervised learning for sequential recommendation, CIKM 2020, made
    of Amazon reviews by users and of items with five or more.
    """
    lines = [np.array(line.split(), np.int64) for line in _text_of(f"{name}.txt", data_folder).splitlines()]
    counts = np.array([len(line) - 1 for line in lines])
    table = {
        columns.USER_ID: np.repeat([line[0] for line in lines], counts),
        columns.ITEM_ID: np.concatenate([line[1:] for line in lines]),
        columns.TIMESTAMP_S: np.concatenate([np.arange(count) for count in counts]),
    }
    return Tables(pa.table(table))


def read_attributes(name: str, data_folder: Path | None) -> pa.Table:
    """A table of items with one column of lists: `shops/<name>_item2attributes.json`, item -> numbers."""
    found: Mapping[str, Sequence[int]] = json.loads(_text_of(f"{name}_item2attributes.json", data_folder))
    lists = pa.array([list(map(str, numbers)) for numbers in found.values()], pa.list_(pa.string()))
    return pa.table({columns.ITEM_ID: pa.array(map(int, found), pa.int64()), ATTRIBUTES: lists})


def _text_of(file: str, data_folder: Path | None) -> str:
    path = (data_folder or Path(os.environ.get("BELFRY_DATA", "."))) / "shops" / file
    if not path.exists():
        raise InputError(f"{path}: no such file; put the sequences of S3-Rec there, or name another --data-folder")
    return path.read_text()


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
