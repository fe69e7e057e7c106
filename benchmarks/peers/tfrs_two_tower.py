"""The report's towers as a plain TensorFlow Recommenders script fits them; nothing of Belfry is imported.

    python benchmarks/peers/tfrs_two_tower.py WATCHES.parquet --epochs 3 [--batch-size 8192] [--no-metrics]

WATCHES.parquet has the columns user_id and title, both strings. Prints one JSON line: `epoch_s`, seconds of each epoch.
"""

import argparse
import json
import os
from time import perf_counter

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # TensorFlow Recommenders needs Keras 2
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors only

import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

EMBEDDING_SIZE = 32
LEARNING_RATE = 0.1


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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("watches")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--no-metrics", action="store_true")
    arguments = parser.parse_args()
    keras.utils.set_random_seed(0)
    watches = pq.read_table(arguments.watches).to_pydict()
    rows = tf.data.Dataset.from_tensor_slices({name: watches[name] for name in ("user_id", "title")})
    rows = rows.shuffle(100_000, seed=0, reshuffle_each_iteration=False).batch(arguments.batch_size).cache()
    users, titles = sorted(set(watches["user_id"])), sorted(set(watches["title"]))
    model = TwoTowers(users, titles, with_metrics=not arguments.no_metrics)
    model.compile(optimizer=keras.optimizers.Adagrad(LEARNING_RATE))
    clock = EpochClock()
    model.fit(rows, epochs=arguments.epochs, verbose=0, callbacks=[clock])
    print(json.dumps({"epoch_s": clock.seconds}))


if __name__ == "__main__":
    main()
