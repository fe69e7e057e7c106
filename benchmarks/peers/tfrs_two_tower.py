"""The report's towers as a plain TensorFlow Recommenders script fits them; nothing of Belfry is imported.

    python benchmarks/peers/tfrs_two_tower.py WATCHES.parquet --epochs 3 [--no-metrics] [--batch-size N] [--model DIR]
    python benchmarks/peers/tfrs_two_tower.py WATCHES.parquet --epochs 0 --model DIR --lists LISTS.parquet -n 100

WATCHES.parquet has the columns user_id and title, both strings. Prints one JSON line: `epoch_s`, seconds of each epoch.
With `--model` the weights are kept; with `--lists` they are read, and the best unseen titles of every user are written,
searched by TensorFlow Recommenders' `BruteForce`; then the line has `inside_cpu_s` and `n_users`.
"""

import argparse
import json
import os
from pathlib import Path
from time import perf_counter, process_time

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # TensorFlow Recommenders needs Keras 2
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only

import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

EMBEDDING_SIZE = 32
LEARNING_RATE = 0.1
USERS_PER_CALL = 256


class TwoTowers(tfrs.Model):
    """One embedding per user id, one per title."""

    def __init__(self, users, titles, *, with_metrics):
        super().__init__()
        self.query = keras.Sequential(
            [keras.layers.StringLookup(vocabulary=users), keras.layers.Embedding(len(users) + 1, EMBEDDING_SIZE)]
        )
        self.candidate = keras.Sequential(
            [keras.layers.StringLookup(vocabulary=titles), keras.layers.Embedding(len(titles) + 1, EMBEDDING_SIZE)]
        )
        candidates = tf.data.Dataset.from_tensor_slices(titles).batch(128).map(self.candidate)
        metrics = tfrs.metrics.FactorizedTopK(candidates) if with_metrics else None
        self.task = tfrs.tasks.Retrieval(metrics=metrics)

    def compute_loss(self, features, training=False):
        return self.task(self.query(features["user_id"]), self.candidate(features["title"]))


class EpochClock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.started = perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(perf_counter() - self.started)


def write_table(model, watches, users, titles, arguments):
    """The best unseen titles of every user, by `BruteForce`."""
    model.query(tf.constant(users[:1]))  # builds what the weights are read into
    model.candidate(tf.constant(titles[:1]))
    model.load_weights(arguments.model / "weights").expect_partial()
    seen = {user: set() for user in users}
    for user, title in zip(watches["user_id"], watches["title"], strict=True):
        seen[user].add(title)
    depth = min(len(titles), arguments.n + max(map(len, seen.values())))
    search = tfrs.layers.factorized_top_k.BruteForce(model.query, k=depth)
    search.index(model.candidate(tf.constant(titles)), tf.constant(titles))
    rows = {"user_id": [], "item_id": [], "rank": [], "score": []}
    for first in range(0, len(users), USERS_PER_CALL):
        block = users[first : first + USERS_PER_CALL]
        scores, found = (part.numpy() for part in search(tf.constant(block)))
        for user, user_scores, user_titles in zip(block, scores, found, strict=True):
            names = (title.decode() for title in user_titles)
            best = [(name, score) for name, score in zip(names, user_scores, strict=True) if name not in seen[user]]
            for rank, (name, score) in enumerate(best[: arguments.n], 1):
                for column, value in zip(rows, (user, name, rank, float(score)), strict=True):
                    rows[column].append(value)
    rows["rank"] = pa.array(rows["rank"], pa.int32())
    pq.write_table(pa.table(rows), arguments.lists)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("watches")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--no-metrics", action="store_true")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--lists", type=Path)
    parser.add_argument("-n", type=int, default=100)
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    watches = pq.read_table(arguments.watches).to_pydict()
    rows = tf.data.Dataset.from_tensor_slices({name: watches[name] for name in ("user_id", "title")})
    rows = rows.shuffle(100_000, seed=0, reshuffle_each_iteration=False).batch(arguments.batch_size).cache()
    users, titles = sorted(set(watches["user_id"])), sorted(set(watches["title"]))
    model = TwoTowers(users, titles, with_metrics=not arguments.no_metrics and not arguments.lists)
    if arguments.lists:
        started_s = process_time()
        write_table(model, watches, users, titles, arguments)
        print(json.dumps({"inside_cpu_s": process_time() - started_s, "n_users": len(users)}))
        return
    model.compile(optimizer=keras.optimizers.Adagrad(LEARNING_RATE))
    clock = EpochClock()
    model.fit(rows, epochs=arguments.epochs, verbose=0, callbacks=[clock])
    if arguments.model:
        arguments.model.mkdir()
        model.save_weights(arguments.model / "weights")
    print(json.dumps({"epoch_s": clock.seconds}))


if __name__ == "__main__":
    main()
