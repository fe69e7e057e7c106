"""Reader of the shops that papers on sequential recommendation report on."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.tables import Tables


def read_sequences(name: str, data_folder: Path | None) -> Tables:
    """The file `shops/<name>.txt` of `data_folder`: a line a user, `user item item ...`, oldest first.

    The time of an event is its place in the line.

    Source: the files of Zhou et al., S3-Rec: Self-supervised learning for sequential recommendation, CIKM 2020, made
    of Amazon reviews by users and of items with five or more.
    """
    lines = [np.array(line.split(), np.int64) for line in text_of(f"{name}.txt", data_folder).splitlines()]
    counts = np.array([len(line) - 1 for line in lines])
    table = {
        columns.USER_ID: np.repeat([line[0] for line in lines], counts),
        columns.ITEM_ID: np.concatenate([line[1:] for line in lines]),
        columns.TIMESTAMP_S: np.concatenate([np.arange(count) for count in counts]),
    }
    return Tables(pa.table(table))


def text_of(file: str, data_folder: Path | None) -> str:
    """Of a file in the folder `shops`; without a data folder, in that of `BELFRY_DATA`."""
    path = (data_folder or Path(os.environ.get("BELFRY_DATA", "."))) / "shops" / file
    if not path.exists():
        raise InputError(f"{path}: no such file; put the sequences of S3-Rec there, or name another --data-folder")
    return path.read_text()
