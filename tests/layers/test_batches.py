from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.history.bags import HistoryBags
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions, damped
from belfry.dataset.vocabulary import Numbers
from belfry.layers.batches import Cells, WatchBatches, WatchBlock
from belfry.layers.negatives import NegativeSampler
from belfry.layers.towers.config import TowersConfig

N_USERS, N_ITEMS = 23, 40
PLAN = TowersConfig(
    batch_users=7,
    targets="any",
    hidden_share=(0.2, 0.5),
    n_next=3,
    history_dropout=0.0,
    cold_share=0.0,
    half_life=5.0,
    max_history=1000,
    impression_weight=1.0,
)
WHOLE, FEW = 1000, 19  # candidates; of 40 items, so that some must be drawn


def watches(seed: int = 0) -> Interactions:
    """2 to 12 items for each user, none twice, in an order of time that is not that of the table."""
    generator = np.random.default_rng(seed)
    favour = 1 / np.arange(1, N_ITEMS + 1)
    users, items = [], []
    for user in range(1, N_USERS + 1):
        n = int(generator.integers(2, 13))
        users += [user] * n
        items += generator.choice(np.arange(1, N_ITEMS + 1), n, replace=False, p=favour / favour.sum()).tolist()
    users += [1] * N_ITEMS  # one user watches everything, so that every item is known
    items += list(range(1, N_ITEMS + 1))
    table = {"user_id": users, "item_id": items, "timestamp_s": generator.permutation(len(users))}
    return Interactions.from_table(pa.table(table))


@dataclass(frozen=True)
class RetrievalBatch:
    """One step of a block, its weights as tables."""

    users: Numbers
    bags: HistoryBags
    age: np.ndarray
    candidates: Numbers
    log_q: np.ndarray
    target_weight: np.ndarray
    negative_weight: np.ndarray

    @classmethod
    def of(cls, block: WatchBlock, step: int) -> "RetrievalBatch":
        queries = np.flatnonzero(block.step == step)
        is_own = np.isin(block.bags.row, queries)
        bags = block.bags
        own = HistoryBags(
            bags.row[is_own] - queries[0], *(of[is_own] for of in (bags.item_num, bags.uniform, bags.recency))
        )
        is_shared = len(block.candidate_starts) == 2
        candidates = slice(*block.candidate_starts[[0, 1] if is_shared else [step, step + 1]])
        weights = np.zeros((len(queries), candidates.stop - candidates.start), np.float32)
        negatives = weights + block.is_negative[candidates]

        def write(table: np.ndarray, cells: Cells) -> np.ndarray:
            is_here = np.isin(cells.query, queries)
            table[cells.query[is_here] - queries[0], cells.column[is_here]] = cells.weight[is_here]
            return table

        return cls(
            block.users[queries],
            own,
            block.age[queries],
            block.candidates[candidates],
            block.log_q[candidates],
            write(weights, block.targets),
            write(write(negatives, block.special), block.watched),
        )


def retrieval_batches(
    history: Interactions,
    plan: TowersConfig,
    sampler: NegativeSampler,
    generator: np.random.Generator,
    mined: Numbers | None = None,
) -> Iterator[RetrievalBatch]:
    for block in WatchBatches(history, plan, sampler).epoch(generator, mined):
        yield from (RetrievalBatch.of(block, step) for step in range(block.n_steps))


def batches_of(
    history: Interactions,
    plan: TowersConfig = PLAN,
    *,
    seed: int = 0,
    n_candidates: int = WHOLE,
    mined: Numbers | None = None,
) -> list[RetrievalBatch]:
    sampler = NegativeSampler(history, "all", n_candidates)
    return list(retrieval_batches(history, plan, sampler, np.random.default_rng(seed), mined))


def queries_of(batch: RetrievalBatch) -> Iterator[tuple[int, list[int], list[int], list[int]]]:
    """Of each query: user, items to read, targets, negatives."""
    for row, user in enumerate(batch.users):
        read = batch.bags.item_num[batch.bags.row == row].tolist()
        weights = (batch.target_weight, batch.negative_weight)
        yield int(user), read, *(batch.candidates[of[row] > 0].tolist() for of in weights)


def in_time(history: Interactions, user: int) -> list[int]:
    return history.item_num[history.by_user.of(user)].tolist()


def test_each_user_comes_once_in_an_epoch_and_in_another_order_in_the_next() -> None:
    history, generator = watches(), np.random.default_rng(0)
    sampler = NegativeSampler(history, "all", WHOLE)
    epochs = [
        np.concatenate([batch.users for batch in retrieval_batches(history, PLAN, sampler, generator)])
        for _ in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(1, N_USERS + 1))
    assert epochs[0].tolist() != epochs[1].tolist()
    assert [len(batch.users) for batch in batches_of(history)] == [7, 7, 7, 2]


def test_users_with_one_event_are_skipped() -> None:
    table = pa.table({"user_id": [1, 1, 2, 3, 3, 3], "item_id": [1, 2, 1, 1, 2, 3]})
    (batch,) = batches_of(Interactions.from_table(table))
    assert sorted(batch.users) == [1, 3]


@pytest.mark.parametrize("n_candidates", [WHOLE, FEW])
@pytest.mark.parametrize("targets", ["any", "next"])
def test_nothing_that_is_read_is_a_target(n_candidates: int, targets: str) -> None:
    """Not even for user 1, who watches some items twice and may be left without a target."""
    history = watches()
    for seed in range(5):
        for batch in batches_of(
            history, PLAN.model_copy(update={"targets": targets}), seed=seed, n_candidates=n_candidates
        ):
            for user, read, wanted, negatives in queries_of(batch):
                assert read
                assert wanted or user == 1
                assert not set(read) & set(wanted)
                assert not set(negatives) & set(wanted)


@pytest.mark.parametrize("n_candidates", [WHOLE, FEW])
@pytest.mark.parametrize("targets", ["any", "next"])
def test_targets_and_negatives_are_those_of_the_querys_own_user(n_candidates: int, targets: str) -> None:
    history = watches()
    for batch in batches_of(history, PLAN.model_copy(update={"targets": targets}), n_candidates=n_candidates):
        n_queries, n_columns = len(batch.users), len(batch.candidates)
        assert n_queries != n_columns
        assert batch.target_weight.shape == batch.negative_weight.shape == (n_queries, n_columns)
        assert batch.log_q.shape == (n_columns,)
        for user, read, wanted, negatives in queries_of(batch):
            watched, candidates = set(in_time(history, user)), set(batch.candidates.tolist())
            assert set(negatives) == candidates - watched
            assert set(wanted) <= watched - set(read)
            if targets == "any":  # what is not read is what is wanted
                assert set(wanted) == watched - set(read)


def test_next_targets_follow_what_is_read_in_time() -> None:
    history = watches()
    for batch in batches_of(history, PLAN.model_copy(update={"targets": "next"})):
        for user, read, wanted, _ in queries_of(batch):
            ordered = in_time(history, user)
            assert read == ordered[: len(read)]
            assert set(wanted) == set(ordered[len(read) : len(read) + PLAN.n_next]) - set(read)


def test_the_hidden_share_stays_in_its_range() -> None:
    table = pa.table({"user_id": np.repeat([1, 2], 5000), "item_id": np.tile(np.arange(5000), 2)})
    history = Interactions.from_table(table)
    for batch in batches_of(history, PLAN.model_copy(update={"hidden_share": (0.3, 0.4)}), n_candidates=5000):
        shares = batch.target_weight.sum(axis=1) / 5000
        assert ((shares > 0.27) & (shares < 0.43)).all()


def test_only_the_newest_are_read() -> None:
    history = watches()
    for batch in batches_of(history, PLAN.model_copy(update={"targets": "next", "max_history": 2})):
        for user, read, wanted, _ in queries_of(batch):
            ordered = in_time(history, user)
            assert 1 <= len(read) <= 2
            if user != 1:
                end = ordered.index(read[-1]) + 1
                assert read == ordered[max(end - 2, 0) : end]
                assert set(wanted) == set(ordered[end : end + PLAN.n_next])


def test_cold_queries_read_nothing_and_keep_their_targets() -> None:
    for batch in batches_of(watches(), PLAN.model_copy(update={"cold_share": 0.999999})):
        assert len(batch.bags.item_num) == 0
        assert (batch.target_weight.sum(axis=1) > 0).all()


def test_dropout_thins_histories_out_but_no_targets() -> None:
    history = watches()
    plain, thinned = (
        [len(read) for batch in batches_of(history, plan) for _, read, _, _ in queries_of(batch)]
        for plan in (PLAN, PLAN.model_copy(update={"history_dropout": 0.5}))
    )
    assert 0.3 < sum(thinned) / sum(plain) < 0.7


def test_a_catalogue_that_fits_is_taken_whole_and_needs_no_correction() -> None:
    for batch in batches_of(watches(), n_candidates=N_ITEMS):
        assert batch.candidates.tolist() == list(range(1, N_ITEMS + 1))
        assert (batch.log_q == 0).all()


def test_drawn_candidates_are_unique_known_and_hold_every_target() -> None:
    history = watches()
    for batch in batches_of(history, n_candidates=FEW):
        assert (np.diff(batch.candidates) > 0).all()
        assert batch.candidates[0] >= 1
        assert batch.candidates[-1] <= N_ITEMS
        for user, read, wanted, _ in queries_of(batch):
            assert set(wanted) == set(in_time(history, user)) - set(read)


def test_log_q_is_how_often_a_candidate_turns_up() -> None:
    """Head and tail items alike."""
    generator = np.random.default_rng(0)
    users, items = np.nonzero(generator.random((300, N_ITEMS)) < 0.6 / np.sqrt(np.arange(1, N_ITEMS + 1)))
    history = Interactions.from_table(pa.table({"user_id": users, "item_id": items}))
    n_steps, n_present, stated = 0, np.zeros(N_ITEMS + 1), np.zeros(N_ITEMS + 1)
    plan, sampler = (
        PLAN.model_copy(update={"batch_users": 5, "hidden_share": (0.2, 0.3)}),
        NegativeSampler(history, "mixed", FEW),
    )
    for _ in range(50):
        for batch in retrieval_batches(history, plan, sampler, generator):
            n_steps += 1
            n_present[batch.candidates] += 1
            stated[batch.candidates] += np.exp(batch.log_q)
            assert (batch.log_q <= 0).all()
    frequency = n_present[1:] / n_steps
    assert np.ptp(frequency) > 0.3
    np.testing.assert_allclose(stated[1:] / n_present[1:], frequency, atol=0.04)


def test_equal_seeds_give_equal_batches() -> None:
    history = watches()
    plan = PLAN.model_copy(update={"history_dropout": 0.3, "cold_share": 0.2})
    one, same, other = (batches_of(history, plan, seed=seed, n_candidates=FEW) for seed in (1, 1, 2))
    for left, right in zip(one, same, strict=True):
        for name in ("users", "candidates", "log_q", "target_weight", "negative_weight", "age"):
            assert (getattr(left, name) == getattr(right, name)).all()
        assert (left.bags.item_num == right.bags.item_num).all()
    assert (one[0].users == other[0].users).mean() < 0.5  # 1 / n_users by chance


def test_targets_count_by_the_weight_of_their_watch() -> None:
    table = watches().to_table()
    weight = np.random.default_rng(3).integers(1, 5, len(table)).astype(np.float32)
    history = Interactions.from_table(table.append_column("weight", pa.array(weight)))
    pairs = zip(history.user_num.tolist(), history.item_num.tolist(), strict=True)
    given = dict(zip(pairs, damped(weight), strict=True))
    for batch in batches_of(history):
        rows, columns = np.nonzero(batch.target_weight)
        for user, item, found in zip(
            batch.users[rows], batch.candidates[columns], batch.target_weight[rows, columns], strict=True
        ):
            assert user == 1 or found == given[int(user), int(item)]  # user 1 watches some items twice


@pytest.mark.parametrize("kind", ["impressions", "dislikes"])
def test_impressions_and_dislikes_are_negatives_of_their_user_with_a_weight_of_their_own(kind: str) -> None:
    history = watches()
    unseen = {user: sorted(set(range(1, N_ITEMS + 1)) - set(in_time(history, user)))[-2:] for user in range(2, 6)}
    pairs = [(user, item) for user, items in unseen.items() for item in items]
    table = pa.table({"user_id": [user for user, _ in pairs], "item_id": [item for _, item in pairs]})
    history = replace(history, **{kind: SeenItems.from_table(table, history.users, history.items)})
    for batch in batches_of(history, PLAN.model_copy(update={"impression_weight": 3.0}), n_candidates=FEW):
        for row, user in enumerate(batch.users):
            is_impression = np.isin(batch.candidates, unseen.get(int(user), []))
            assert is_impression.sum() == len(unseen.get(int(user), []))
            assert (batch.negative_weight[row, is_impression] == 3).all()
            assert (batch.negative_weight[row, ~is_impression] <= 1).all()


def test_mined_items_are_negatives_of_their_user() -> None:
    history = watches()
    mined = np.zeros((N_USERS + 1, 2), np.int32)
    for user in range(2, N_USERS + 1):
        mined[user] = sorted(set(range(1, N_ITEMS + 1)) - set(in_time(history, user)))[:2]
    for batch in batches_of(history, n_candidates=FEW, mined=mined):
        for user, _, _, negatives in queries_of(batch):
            assert user == 1 or set(mined[user].tolist()) <= set(negatives)


def test_the_age_is_how_long_before_the_end_the_oldest_target_was() -> None:
    history = watches()
    assert history.timestamp_s is not None
    first_s, now_s = int(history.timestamp_s.min()), int(history.timestamp_s.max())
    for batch in batches_of(history, PLAN.model_copy(update={"targets": "next"})):
        for row, (user, _, wanted, _) in enumerate(queries_of(batch)):
            if user == 1:  # watches some items twice
                continue
            of = (history.user_num == user) & np.isin(history.item_num, wanted)
            oldest_s = int(history.timestamp_s[of].min())
            assert batch.age[row] == pytest.approx((now_s - oldest_s) / (now_s - first_s))


def test_without_times_nothing_has_an_age() -> None:
    history = Interactions.from_table(watches().to_table().drop_columns("timestamp_s"))
    assert all((batch.age == 0).all() for batch in batches_of(history))


def test_an_epoch_in_many_blocks_has_the_same_users_and_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = batches_of(watches(), n_candidates=FEW)
    monkeypatch.setattr("belfry.layers.batches._EVENTS_PER_BLOCK", 60)
    sampler = NegativeSampler(watches(), "all", FEW)
    blocks = list(WatchBatches(watches(), PLAN, sampler).epoch(np.random.default_rng(0)))
    assert len(blocks) > 1
    assert np.concatenate([block.users for block in blocks]).tolist() == [
        user for batch in whole for user in batch.users.tolist()
    ]
    assert sum(block.n_steps for block in blocks) == len(whole)


def test_an_epoch_of_more_users_than_steps_can_see_takes_as_many_others_each_time() -> None:
    """In random order, as every epoch: the users of a large history are sampled anew."""
    plan = PLAN.model_copy(update={"batch_users": 2, "max_steps": 3})
    epochs = [batches_of(watches(), plan, seed=seed) for seed in range(30)]
    users = [[user for batch in batches for user in batch.users.tolist()] for batches in epochs]
    assert {len(batches) for batches in epochs} == {3}
    assert {len(set(some)) for some in users} == {6}
    assert len({user for some in users for user in some}) == len(
        {user for batch in batches_of(watches()) for user in batch.users.tolist()}
    )
