"""The events of a run: they come back as they were, and arrays that are none of events are refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.errors import ArtifactError
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.layers.saved.files import load_arrays, save_arrays
from belfry.pipeline.runs.data.events import load_events, save_events

N_USERS, N_ITEMS = 30, 20
SHOWN = SeenItems(np.array([0, 0, 3, *[4] * N_USERS])[: N_USERS + 2], np.array([2, 2, 5, 1], np.int32))


@pytest.fixture
def history() -> Interactions:
    generator = np.random.default_rng(0)
    events = {
        "user_id": np.append(np.arange(N_USERS), generator.integers(0, N_USERS, 300)),
        "item_id": np.append(np.arange(N_USERS) % N_ITEMS, generator.integers(0, N_ITEMS, 300)),
        "timestamp_s": generator.integers(0, 99, N_USERS + 300),
    }
    return Interactions.from_table(pa.table(events))


def with_pairs(history: Interactions) -> Interactions:
    return replace(history, impressions=SHOWN, dislikes=SHOWN.distinct)


@pytest.mark.parametrize("large", [1, 1 << 20])
def test_events_and_what_was_seen_come_back(
    large: int, history: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("belfry.layers.saved.files._LARGE", large)
    monkeypatch.setattr("belfry.dataset.arrays.CELLS_PER_BLOCK", 16)
    saved = with_pairs(history)
    save_events(saved, tmp_path)
    assert len(list((tmp_path / "history").glob("*.npy"))) == (5 if large == 1 else 0)
    found = load_events(tmp_path, history.users, history.items)
    assert found.to_table().equals(history.select(history.by_user.order).to_table())
    assert found.by_user.moved is None
    assert found.__dict__["seen_items"] is found.seen_items
    for own, other in (
        (found.seen_items, saved.seen_items),
        (found.impressions, SHOWN),
        (found.dislikes, SHOWN.distinct),
    ):
        assert own is not None
        assert own.starts.tolist() == other.starts.tolist()
        assert own.item_num.tolist() == other.item_num.tolist()
        assert own.item_num.dtype == np.int32


@pytest.mark.parametrize(
    ("folder", "changed", "words"),
    [
        ("impressions", {"item_num": SHOWN.item_num + np.int32(N_ITEMS)}, "'item_num' is not within 1 and 20"),
        ("impressions", {"item_num": SHOWN.item_num[::-1].copy()}, "the items of a user are not in order"),
        ("impressions", {"item_num": SHOWN.item_num[:-1]}, "its pairs are not those of 30 users"),
        ("impressions", {"item_num": SHOWN.item_num.astype(np.int64)}, "holds int64 of the shape"),
        ("impressions", {"timestamp_s": np.zeros(3, np.int64)}, "the items of a user are not in order"),
        ("impressions", {"x": SHOWN.item_num}, "holds pairs as"),
        ("dislikes", {"starts": SHOWN.starts, "item_num": SHOWN.item_num}, "the items of a user are not in order"),
        ("history", {"weight": np.full(330, np.nan, np.float32)}, "'weight' holds values that no events of a run have"),
        ("history", {"weight": np.append(np.ones(329), 0).astype(np.float32)}, "'weight' holds values"),
        ("history", {"rating": np.append([np.nan] * 329, np.inf).astype(np.float32)}, "'rating' holds values"),
        ("history", {"label/x": np.append([np.nan] * 329, -np.inf).astype(np.float32)}, "'label/x' holds values"),
        ("history", {"timestamp_s": np.arange(-1, 329)}, "'timestamp_s' holds values"),
        ("impressions", {"timestamp_s": np.full(4, 1 << 62)}, "'timestamp_s' holds values"),
        ("history", {"seen/starts": np.zeros(N_USERS + 2, np.int64)}, "its pairs are not those of 30 users"),
    ],
)
def test_arrays_that_are_no_events_are_refused(
    folder: str, changed: dict[str, np.ndarray], words: str, history: Interactions, tmp_path: Path
) -> None:
    save_events(with_pairs(history), tmp_path)
    arrays = load_arrays(tmp_path / folder)
    shutil.rmtree(tmp_path / folder)
    save_arrays(tmp_path / folder, arrays | changed)
    with pytest.raises(ArtifactError, match=f"{folder}: .*{words}"):
        load_events(tmp_path, history.users, history.items)
