"""Steps of the sequence towers: what they predict, and from what."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.retrieval.config import SequenceConfig
from belfry.retrieval.models.neural.sequence_batches import SequenceBatches

LENGTHS = (2, 7, 3, 5, 1, 4)  # of the histories; a window holds 4 events


def tables() -> FeatureTables:
    """User u watches the items u, u + 1, ... in order."""
    users = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    turns = np.concatenate([np.arange(length) for length in LENGTHS])
    table = pa.table({"user_id": users, "item_id": users + turns, "timestamp_s": turns})
    return FeatureTables(Interactions.from_table(table), FeatureColumns(), FeatureColumns())


def predictions(config: SequenceConfig) -> tuple[list[tuple[int, int]], list[int]]:
    """(item before, item) of all predictions of an epoch, as ids with -1 for none; and the length of each step."""
    features, found, lengths = tables(), [], []
    batches = SequenceBatches(features.history, features, config)
    ids = np.append(-1, features.history.items.ids.to_numpy())
    for block in batches.blocks(np.random.default_rng(0)):
        lengths += block["length"].values.tolist()
        for step, length in enumerate(block["length"].values.tolist()):
            rows = {name: slice(*stack.starts[step : step + 2]) for name, stack in block.items()}
            read = block["read/ids"].values[rows["read/ids"]]
            candidates = (
                batches.shared()["candidates/ids"]
                if batches.sampler.is_whole
                else block["candidates/ids"].values[rows["candidates/ids"]]
            )
            positions, targets = (values[rows["predicted"]] for values in block["predicted"].values)
            before = read[block["places"].values[rows["places"]]][positions]
            found += zip(ids[before].tolist(), ids[candidates[targets]].tolist(), strict=True)
            is_watched = np.zeros((1 + positions.max() // length, len(candidates)), np.bool_)
            is_watched[tuple(block["watched"].values[rows["watched"]].T)] = True
            assert is_watched[positions // length, targets].all()
    return sorted(found), lengths


@pytest.mark.parametrize("candidates", [{}, {"n_candidates": 3, "n_sampled": 3}], ids=["whole", "sampled"])
@pytest.mark.parametrize("batch_events", [1, 6, 100])
def test_an_epoch_predicts_every_event_once(batch_events: int, candidates: dict[str, int]) -> None:
    """From the event before it, across the border of two windows too; nobody learns from a single event."""
    found, _ = predictions(SequenceConfig(max_length=4, batch_events=batch_events, **candidates))
    wanted = [
        (user + turn - 1 if turn else -1, user + turn)
        for user, length in enumerate(LENGTHS)
        for turn in range(length)
        if length > 1
    ]
    assert found == sorted(wanted)


def test_windows_of_a_step_are_cut_to_the_longest() -> None:
    assert sorted(predictions(SequenceConfig(max_length=4, batch_events=1))[1]) == [1, 2, 3, 3, 4, 4, 4]
    assert set(predictions(SequenceConfig(max_length=4, batch_events=1, encoder="recurrent"))[1]) == {4}


def test_an_epoch_of_more_windows_than_steps_can_see_takes_a_part_of_them() -> None:
    found, lengths = predictions(SequenceConfig(max_length=4, batch_events=1, max_steps=3))
    everything, _ = predictions(SequenceConfig(max_length=4, batch_events=1))
    assert len(lengths) == 3
    assert len(found) == sum(lengths) < len(everything)
    assert set(found) < set(everything)
