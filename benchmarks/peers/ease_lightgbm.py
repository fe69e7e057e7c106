"""EASE proposes 200 candidates, LightGBM orders them: a two-stage system. Nothing of Belfry is imported.

    python benchmarks/peers/ease_lightgbm.py train TRAIN.parquet MODEL_FOLDER [--holdout last]
    python benchmarks/peers/ease_lightgbm.py table TRAIN.parquet MODEL_FOLDER LISTS.parquet -n 100

Each fold withholds a fifth of the events (or everybody's last one), EASE is fitted on the others, and its candidates
are labelled by what was withheld. Trees learn from the lists of all folds and stop by those of a tenth of the users.
Users are worked on in blocks; nothing loops over them.
"""

import argparse
from pathlib import Path
from time import process_time

import lightgbm as lgb
import numpy as np
from peer_tables import Events, read_events, tell, write_lists
from scipy.linalg import lapack

N_CANDIDATES = 200
L2 = 12.0  # of EASE, per root of the number of users
SHRINK = 10.0  # of the cosine
WINDOW_S = 30 * 86_400
N_PARTS = 5  # of the events; a fold withholds one
MAX_LISTS = 20_000  # of a fold
WANTED_LISTS = 5_000  # fewer users make more folds, two at least
USERS_PER_BLOCK = 512
TREES = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "learning_rate": 0.03,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.7,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
}


class FirstStage:
    """EASE, and what the trees know beside its score."""

    def __init__(self, events: Events, rows) -> None:
        self.seen = events.matrix(rows)
        gram = (self.seen.T @ self.seen).toarray().astype(np.float64, order="F")
        counts = gram.diagonal().copy()
        roots = np.sqrt(counts)
        self.cosine = np.empty(gram.shape, np.float32)
        for block in _blocks(np.arange(len(counts))):
            self.cosine[block] = gram[block] / (np.outer(roots[block], roots) + SHRINK)
        np.fill_diagonal(self.cosine, 0)
        gram[np.diag_indices_from(gram)] += L2 * np.sqrt(self.seen.shape[0])
        factor, _ = lapack.dpotrf(gram, lower=True, overwrite_a=True)
        inverse, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)  # the lower half of it
        inverse += np.tril(inverse, -1).T
        self.weights = (-inverse / inverse.diagonal()).astype(np.float32)
        np.fill_diagonal(self.weights, 0)
        popularity = [np.log1p(counts)]
        if events.time_s is not None:
            time_s, item = events.time_s[rows], events.item[rows]
            newest = item[time_s > time_s.max() - WINDOW_S]
            popularity.append(np.log1p(np.bincount(newest, minlength=len(counts))))
        self.popularity = np.stack(popularity).astype(np.float32)  # [1 or 2, n_items]

    def lists(self, users):
        """Of a block of users: items [n, 200], whether a place is filled [n, 200], features [n, 200, n_features]."""
        seen = self.seen[users]
        scores = seen @ self.weights
        scores = np.where(seen.toarray() > 0, -np.inf, scores)
        depth = min(N_CANDIDATES, scores.shape[1])
        items = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
        order = np.argsort(-np.take_along_axis(scores, items, 1), axis=1, kind="stable")
        items = np.take_along_axis(items, order, 1)
        ease = np.take_along_axis(scores, items, 1)
        filled = np.isfinite(ease)
        ease = np.where(filled, ease, 0)
        cosine = np.take_along_axis(seen @ self.cosine, items, 1)
        length = np.maximum(np.asarray(seen.sum(axis=1)), 1)
        taste = seen @ self.popularity[0][:, None] / length  # mean popularity of the history
        places = np.broadcast_to(np.log(np.arange(1, depth + 1)), ease.shape)
        features = [ease, _standard(ease), places, cosine, _standard(cosine), _places(cosine)]
        features += [popularity[items] for popularity in self.popularity]
        features += [self.popularity[0][items] - taste, np.broadcast_to(np.log(length), ease.shape)]
        return items, filled, np.stack(features, axis=2).astype(np.float32)


def _standard(values):
    return (values - values.mean(axis=1, keepdims=True)) / (values.std(axis=1, keepdims=True) + 1e-9)


def _places(values):
    return np.log1p(np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1))


def train(events: Events, folder: Path, *, holdout: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    n_users = len(events.user_ids)
    to_validate = generator.random(n_users) < 0.1
    learned, validated = [], []
    n_folds = min(N_PARTS, max(2, -(-WANTED_LISTS // n_users)))
    for withheld in _folds(events, n_folds, holdout, generator):
        stage, later = FirstStage(events, ~withheld), events.matrix(withheld)
        users = generator.permutation(np.unique(events.user[withheld]))[:MAX_LISTS]
        for block in _blocks(users):
            items, filled, features = stage.lists(block)
            labels = np.take_along_axis(later[block].toarray(), items, 1)
            for side, lists in ((False, learned), (True, validated)):
                chosen = (labels.sum(axis=1) > 0) & (to_validate[block] == side)
                kept = filled[chosen]
                lists.append((features[chosen][kept], labels[chosen][kept], kept.sum(axis=1)))
    sets = []
    for lists in (learned, validated):
        features, labels, groups = (np.concatenate(part) for part in zip(*lists, strict=True))
        sets.append(lgb.Dataset(features, labels, group=groups, reference=sets[0] if sets else None))
    stop = lgb.early_stopping(50, verbose=False)
    trees = lgb.train(TREES | {"seed": seed}, sets[0], 600, valid_sets=[sets[1]], callbacks=[stop])
    stage = FirstStage(events, slice(None))
    folder.mkdir()
    trees.save_model(folder / "trees.txt", num_iteration=trees.best_iteration)
    np.savez(folder / "first.npz", weights=stage.weights, cosine=stage.cosine, popularity=stage.popularity)


def table(events: Events, folder: Path, lists: Path, n: int) -> int:
    stage = FirstStage.__new__(FirstStage)
    arrays = np.load(folder / "first.npz")
    stage.seen = events.matrix()
    stage.weights, stage.cosine, stage.popularity = (arrays[name] for name in ("weights", "cosine", "popularity"))
    trees = lgb.Booster(model_file=folder / "trees.txt")
    parts = []
    for users in _blocks(np.arange(len(events.user_ids))):
        items, filled, features = stage.lists(users)
        scores = np.full(items.shape, -np.inf)
        scores[filled] = trees.predict(features[filled], num_threads=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
        items, scores = np.take_along_axis(items, order, 1), np.take_along_axis(scores, order, 1)
        kept = np.isfinite(scores)
        parts.append((np.repeat(users, kept.sum(axis=1)), items[kept], scores[kept], kept.sum(axis=1)))
    users, items, scores, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
    write_lists(lists, events.user_ids[users], events.item_ids[items], scores.astype(np.float32), lengths)
    return len(events.user_ids)


def _folds(events: Events, n_folds: int, holdout: str, generator):
    """[n_events] what a fold withholds; by `last` each user's last event, in the order of time or of the file."""
    if holdout == "random":
        part = generator.integers(N_PARTS, size=len(events.user))
        return [part == number for number in range(n_folds)]
    order = np.lexsort((events.time_s if events.time_s is not None else np.arange(len(events.user)), events.user))
    from_end = np.empty(len(events.user), np.int64)
    sizes = np.bincount(events.user)
    from_end[order] = np.repeat(np.cumsum(sizes), sizes) - 1 - np.arange(len(order))
    return [from_end == 0]


def _blocks(users):
    return [users[first : first + USERS_PER_BLOCK] for first in range(0, len(users), USERS_PER_BLOCK)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "table"])
    parser.add_argument("train", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("lists", type=Path, nargs="?")
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--holdout", choices=["random", "last"], default="random")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    events = read_events(asked.train)
    started_s = process_time()
    if asked.what == "train":
        train(events, asked.model, holdout=asked.holdout, seed=asked.seed)
        tell(started_s, len(events.user_ids))
    else:
        tell(started_s, table(events, asked.model, asked.lists, asked.n))


if __name__ == "__main__":
    main()
