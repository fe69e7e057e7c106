"""Split: one table of events as history to learn from and as events held back for the evaluation."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from belfry.dataset import columns
from belfry.dataset.arrays import Mask, Times
from belfry.dataset.errors import InputError
from belfry.dataset.interactions import Interactions

TRAIN_FILE = "train.parquet"
TEST_FILE = "test.parquet"
IMPRESSIONS_FILE = "impressions.parquet"
DISLIKES_FILE = "dislikes.parquet"


@dataclass(frozen=True)
class Split:
    """Every event on one of two sides, in the source's order, under the same vocabularies.

    Impressions and dislikes belong to train. Where the split is by time or last events, only those before test begins
    are kept; else, and without times, all but those of pairs in test.
    """

    train: Interactions
    test: Interactions


def split_random(interactions: Interactions, *, test_share: float = 0.2, seed: int) -> Split:
    """`test_share` of all rows, drawn without regard to user or time, as test.

    Raises:
        InputError: the share is not between 0 and 1, or leaves a side empty.
    """
    _check_share("test_share", test_share)
    n_test = round(len(interactions) * test_share)
    is_test = np.zeros(len(interactions), np.bool_)
    is_test[np.random.default_rng(seed).permutation(len(interactions))[:n_test]] = True
    return _split(interactions, is_test, f"test_share={test_share}")


def split_last_out(interactions: Interactions, *, n_last: int = 1, min_history: int = 1) -> Split:
    """Each user's last `n_last` rows as test; users who would keep fewer than `min_history` stay wholly in train.

    Last by time, or by the order of the rows; of equal times, the row further down the source.

    Raises:
        InputError: there is no order, a count is out of range, or no user has enough rows.
    """
    if not interactions.is_ordered:
        raise InputError(
            f"interactions: no column {columns.TIMESTAMP_S!r}, which split_last_out() needs where no order is given; "
            "add it, say data.order=rows (or a column), or split at random"
        )
    if n_last < 1 or min_history < 0:
        raise InputError(f"n_last={n_last}, min_history={min_history}: use at least 1 and 0")
    rows = interactions.by_user
    counts = np.diff(rows.starts)
    from_end = np.repeat(rows.starts[1:], counts) - np.arange(len(interactions))  # 1 = a user's last row
    is_held_back = (from_end <= n_last) & np.repeat(counts >= n_last + min_history, counts)
    is_test = np.zeros(len(interactions), np.bool_)
    is_test[rows.order[is_held_back]] = True
    how = f"n_last={n_last}, min_history={min_history}"
    if interactions.timestamp_s is None:
        return _split(interactions, is_test, how)
    begins_s = np.full(len(interactions.users) + 1, np.iinfo(np.int64).max)
    np.minimum.at(begins_s, interactions.user_num[is_test], interactions.timestamp_s[is_test])
    return _split(interactions, is_test, how, begins_s)


def split_time(interactions: Interactions, *, share: float = 0.8) -> Split:
    """One cut for all users, where `share` of the rows lie before it: rows at or after the cut are test.

    Rows of equal time stay together, so train may come out smaller than `share`.

    Raises:
        InputError: there are no times, the share is not between 0 and 1, or one side is empty.
    """
    _check_share("share", share)
    timestamp_s = interactions.timestamp_s
    if timestamp_s is None:
        other = "split by last, for the events are in order" if interactions.is_ordered else "split at random"
        raise InputError(
            f"interactions: no column {columns.TIMESTAMP_S!r}, which split_time() needs; add it or {other}"
        )
    cut_row = min(round(len(timestamp_s) * share), len(timestamp_s) - 1)
    cut_s = np.partition(timestamp_s, cut_row)[cut_row] if len(timestamp_s) else 0
    return _split(interactions, timestamp_s >= cut_s, f"share={share}", int(cut_s))


def folds(interactions: Interactions, *, n_folds: int, seed: int) -> npt.NDArray[np.int8]:
    """[n_events] a fold from 0 to n_folds - 1 for each row, for cross-fitting.

    The folds of one user differ by one row at most. They do not depend on where other users' rows stand in the table.

    Raises:
        InputError: `n_folds` is not in 2..127.
    """
    if not 2 <= n_folds <= 127:
        raise InputError(f"n_folds={n_folds}: use 2 to 127")
    rng = np.random.default_rng(seed)
    # Random numbers are used in the order of by_user, which keeps users apart, never in the source's.
    first_fold = rng.integers(n_folds, size=len(interactions.users) + 1)
    keys = rng.random(len(interactions))
    rows = interactions.by_user
    user_num = interactions.user_num[rows.order]
    shuffled = np.lexsort((keys, user_num))
    turn = np.arange(len(interactions)) - rows.starts[user_num]
    fold = np.empty(len(interactions), np.int8)
    fold[rows.order[shuffled]] = (first_fold[user_num] + turn) % n_folds
    return fold


def save_split(split: Split, folder: Path) -> None:
    """Write train.parquet and test.parquet, with the caller's ids; `folder` appears whole or not at all.

    Both hold watches alone; the impressions of train, if there are any, go to impressions.parquet, and its dislikes to
    dislikes.parquet.

    Raises:
        InputError: `folder` exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists already; name a new folder for the split, or remove this one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as aside:
        written = Path(aside) / "split"
        written.mkdir()
        pq.write_table(split.train.to_table(), written / TRAIN_FILE)
        pq.write_table(split.test.to_table(), written / TEST_FILE)
        for name, pairs in ((IMPRESSIONS_FILE, split.train.impressions), (DISLIKES_FILE, split.train.dislikes)):
            if pairs is not None:
                pq.write_table(pairs.to_table(split.train.users, split.train.items), written / name)
        written.rename(folder)


def _split(interactions: Interactions, is_test: Mask, how: str, begins_s: int | Times | None = None) -> Split:
    """The two sides; `begins_s` is when test begins, for all or for each user [n_users + 1]; None for no such time."""
    train, test = interactions.select(~is_test), interactions.select(is_test)
    split = Split(train.known_without(test) if begins_s is None else train.known_before(begins_s), test)
    if not len(split.train) or not len(split.test):
        raise InputError(
            f"split by {how}: {len(split.train)} of {len(interactions)} interactions fall in train, "
            f"{len(split.test)} in test; both need some: change the setting or bring more data"
        )
    return split


def _check_share(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise InputError(f"{name}={share}: a share lies between 0 and 1, both excluded")
