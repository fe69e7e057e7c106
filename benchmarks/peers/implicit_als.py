"""ALS of the library `implicit`, its table by `recommend`. Nothing of Belfry is imported.

python benchmarks/peers/implicit_als.py train TRAIN.parquet MODEL_FOLDER
python benchmarks/peers/implicit_als.py table TRAIN.parquet MODEL_FOLDER LISTS.parquet -n 100
"""

import argparse
from pathlib import Path
from time import process_time

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from peer_tables import read_events, tell, write_lists
from threadpoolctl import threadpool_limits

FACTORS, ALPHA, L2, EPOCHS = 64, 10.0, 60.0, 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "table"])
    parser.add_argument("train", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("lists", type=Path, nargs="?")
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    events = read_events(asked.train)
    started_s = process_time()
    model = AlternatingLeastSquares(
        factors=FACTORS, regularization=L2, alpha=ALPHA, iterations=EPOCHS, num_threads=1, random_state=asked.seed
    )
    watched, users = events.matrix(), np.arange(len(events.user_ids))
    if asked.what == "train":
        with threadpool_limits(1, "blas"):
            model.fit(watched, show_progress=False)
        asked.model.mkdir()
        np.savez(asked.model / "factors.npz", users=model.user_factors, items=model.item_factors)
    else:
        factors = np.load(asked.model / "factors.npz")
        model.user_factors, model.item_factors = factors["users"], factors["items"]
        n = min(asked.n, watched.shape[1])
        items, scores = model.recommend(users, watched, N=n, filter_already_liked_items=True)
        kept = scores > -1e30  # what fills up a list that is too short
        lengths = kept.sum(axis=1)
        user_id = events.user_ids[np.repeat(users, lengths)]
        write_lists(asked.lists, user_id, events.item_ids[items[kept]], scores[kept], lengths)
    tell(started_s, len(users))


if __name__ == "__main__":
    main()
