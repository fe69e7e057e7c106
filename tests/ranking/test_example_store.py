"""ExampleStore: what waits on disk comes back as it was, and goes when the store is closed."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry.ranking.example_store import ExampleStore, read_examples, write_examples
from belfry.ranking.examples import Examples, concatenate
from tests.contracts.ranker import taught_examples

PARTS = [taught_examples(n, seed=n) for n in (3, 1, 5)]
ODD_NAMES = ("a.b/c", "feature.", "", "score of «très bon», 100 %\n")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def assert_same(one: Examples, other: Examples) -> None:
    assert one.names == other.names
    for name in ("pairs", "items", "starts", "users", "history"):
        first, second = getattr(one.lists, name), getattr(other.lists, name)
        np.testing.assert_array_equal(first, second, err_msg=name)
        assert first.dtype == second.dtype, name
    for name in ("labels", "n_relevant"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert getattr(one, name).dtype == getattr(other, name).dtype, name


def in_one_order(blocks: list[Examples]) -> Examples:
    """All lists, whatever the order of the blocks: by user, then by the first item."""
    everything = concatenate(blocks)
    lists = everything.lists
    return everything.select(np.lexsort((lists.items[lists.starts[:-1]], lists.users)))


@pytest.mark.parametrize("names", [PARTS[0].names, ODD_NAMES])
def test_what_was_written_is_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    examples = replace(PARTS[2], lists=replace(PARTS[2].lists, names=names))
    write_examples(examples, tmp_path / "part")
    assert_same(read_examples(tmp_path / "part"), examples)
    assert {path.suffix for path in (tmp_path / "part").iterdir()} == {".parquet"}


def test_lists_without_rows_are_kept(tmp_path: Path) -> None:
    lists = PARTS[0].lists
    spread = replace(
        lists.select(np.array([0, 1, 2, 2])),
        starts=np.insert(lists.starts, 1, lists.starts[1]),
        pairs=lists.pairs,
        items=lists.items,
    )
    examples = replace(PARTS[0], lists=spread, n_relevant=np.arange(4))
    write_examples(examples, tmp_path / "part")
    assert_same(read_examples(tmp_path / "part"), examples)


@pytest.mark.parametrize("limit_parts", [0, 1, 2, 3])
def test_spilling_equals_memory(scratch: Path, limit_parts: int) -> None:
    limit_bytes = sum(part.lists.pairs.nbytes for part in PARTS[:limit_parts])
    with closing(ExampleStore(limit_bytes=limit_bytes)) as store:
        for part in PARTS:
            store.add(part)
        assert bool(list(scratch.iterdir())) == (limit_parts < 3)
        assert len(store) == 9
        assert store.names == PARTS[0].names
        for _ in range(2):  # it can be read again
            blocks = list(store.blocks(np.random.default_rng(0)))
            assert_same(in_one_order(blocks), in_one_order(PARTS))
            assert len(blocks) == {0: 3, 1: 3, 2: 3, 3: 1}[limit_parts]
    assert not list(scratch.iterdir())
    assert not store._in_memory


def test_the_generator_draws_the_order_of_the_files(scratch: Path) -> None:
    with closing(ExampleStore(limit_bytes=0)) as store:
        for part in PARTS:
            store.add(part)
        orders = [[len(block) for block in store.blocks(np.random.default_rng(seed))] for seed in (0, 0, 1, 2, 3, 4, 5)]
    assert orders[0] == orders[1]
    assert all(sorted(order) == [1, 3, 5] for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_adding_after_reading() -> None:
    with closing(ExampleStore(limit_bytes=1 << 20)) as store:
        for n_parts, part in enumerate(PARTS, 1):
            store.add(part)
            (block,) = store.blocks(np.random.default_rng(0))
            assert_same(block, concatenate(PARTS[:n_parts]))


def test_nothing_added(scratch: Path) -> None:
    with closing(ExampleStore(limit_bytes=0)) as store:
        store.add(PARTS[0].select(np.zeros(0, np.int64)))
        assert len(store) == 0
        assert not list(scratch.iterdir())
        assert not list(store.blocks(np.random.default_rng(0)))


def test_the_files_go_after_an_error_too(scratch: Path) -> None:
    with pytest.raises(KeyboardInterrupt), closing(ExampleStore(limit_bytes=0)) as store:
        store.add(PARTS[0])
        assert list(scratch.rglob("*.parquet"))
        raise KeyboardInterrupt
    assert not list(scratch.iterdir())
