"""The data: written once as files that every contestant reads, and how tables of lists are judged on them."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset import columns
from belfry.dataset.folds import Holdout
from belfry.dataset.prepare import prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.split import TRAIN_FILE, Split, save_split, split_last_out, split_random
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.table_lists import open_lists
from benchmarks.judging import context_of, scores_of
from benchmarks.shops import read_sequences


@dataclass(frozen=True)
class Case:
    """A data set, split in one way."""

    title: str
    read: Callable[[Path | None], Tables]
    holdout: Holdout

    def split(self, tables: Tables) -> Split:
        interactions = prepare(check(tables)[0]).interactions
        return split_random(interactions, seed=0) if self.holdout == "random" else split_last_out(interactions)


@dataclass(frozen=True)
class CaseFiles:
    """One case on disk."""

    train: Path  # user_id, item_id, and what else is known of an event
    watches: Path  # of the same events: user_id, title, both strings; an item's title is its id
    features: Mapping[str, Path]  # option of `belfry train` -> table
    holdout: Holdout
    context: EvaluationContext

    def ndcg(self, lists: Path) -> float:
        """Mean NDCG@10 of a table on the test part, over the whole catalogue."""
        table = pq.read_table(lists)
        for name in (columns.USER_ID, columns.ITEM_ID):
            wanted = pq.read_schema(self.train).field(name).type
            table = table.set_column(table.column_names.index(name), name, table[name].cast(wanted))
        with tempfile.TemporaryDirectory() as folder:
            source = open_lists(table, self.context, Path(folder), label=lists.stem)
            return scores_of(source, self.context, depth=10).intervals(seed=0)["ndcg@10"].mean


def write_case(case: Case, folder: Path, data_folder: Path | None) -> CaseFiles:
    tables = case.read(data_folder)
    split = case.split(tables)
    save_split(split, folder / "split")
    train = pq.read_table(folder / "split" / TRAIN_FILE)
    texts = {"user_id": train[columns.USER_ID].cast(pa.string()), "title": train[columns.ITEM_ID].cast(pa.string())}
    pq.write_table(pa.table(texts), folder / "watches.parquet")
    features = {}
    for name, table in (("items", tables.items), ("users", tables.users)):
        if table is not None:
            features[f"--{name}"] = folder / f"{name}.parquet"
            pq.write_table(table, features[f"--{name}"])
    return CaseFiles(
        folder / "split" / TRAIN_FILE, folder / "watches.parquet", features, case.holdout, context_of(split)
    )


def _ids_only(folder: Path | None) -> Tables:
    return Tables(read_data("ml-1m", folder).interactions.select([columns.USER_ID, columns.ITEM_ID]))


CASES = {
    "100k": Case(
        "MovieLens 100K, train part of a random 80/20 split", lambda folder: read_data("ml-100k", folder), "random"
    ),
    "1m": Case("MovieLens 1M, two id columns, train part of a random 80/20 split", _ids_only, "random"),
    "beauty": Case("Beauty, without each user's last", lambda folder: read_sequences("Beauty", folder), "last"),
}
