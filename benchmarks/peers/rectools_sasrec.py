"""SASRec with the softmax loss as RecTools runs it, in an environment of its own (it needs pandas below 3).

    python3.11 -m venv peers && peers/bin/pip install "rectools[torch]==0.19.0" "pyarrow<22"
    peers/bin/python benchmarks/peers/rectools_sasrec.py SPLIT_FOLDER LISTS.parquet [--epochs 30] [--seed 0]

SPLIT_FOLDER holds train.parquet as `belfry.dataset.split.save_split` writes it. LISTS.parquet becomes a table of
user_id, item_id, rank, score with the best unseen 200 items of every user. Nothing of Belfry is imported.
"""

import argparse
import json
from pathlib import Path
from time import perf_counter

import pandas as pd
from pytorch_lightning import Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

TOP_K = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", type=Path)
    parser.add_argument("lists", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    seed_everything(arguments.seed, workers=True)
    events = pd.read_parquet(arguments.split / "train.parquet")
    # Equal times keep the order of the source, as in Belfry's own sequences.
    events = events.sort_values("timestamp_s", kind="stable")
    table = pd.DataFrame(
        {
            Columns.User: events["user_id"],
            Columns.Item: events["item_id"],
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(events["timestamp_s"], unit="s"),
        }
    )
    dataset = Dataset.construct(table)
    model = SASRecModel(
        n_factors=64,
        n_blocks=2,
        n_heads=2,
        session_max_len=100,
        dropout_rate=0.3,
        loss="softmax",
        batch_size=128,
        lr=1e-3,
        epochs=arguments.epochs,
        deterministic=True,
        recommend_torch_device="cpu",
        get_trainer_func=lambda: Trainer(
            max_epochs=arguments.epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            deterministic=True,
        ),
    )
    started = perf_counter()
    model.fit(dataset)
    seconds = perf_counter() - started
    users = events["user_id"].unique()
    started = perf_counter()
    found = model.recommend(users=users, dataset=dataset, k=TOP_K, filter_viewed=True)
    lists = pd.DataFrame({name: found[name].to_numpy() for name in ("user_id", "item_id", "rank", "score")})
    lists.to_parquet(arguments.lists, index=False)
    print(json.dumps({"fit_s": seconds, "users_per_s": len(users) / (perf_counter() - started)}))


if __name__ == "__main__":
    main()
