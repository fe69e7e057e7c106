"""The leaderboard on generated data: it stores, resumes and shows what it measured."""

import sys
from pathlib import Path

import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.split import split_time
from belfry.retrieval.config import TwoTowerConfig
from belfry.retrieval.models.ease import EASEConfig
from belfry.retrieval.popularity import PopularityConfig
from benchmarks.leaderboard.__main__ import main, measure_missing
from benchmarks.leaderboard.page import OLDER, page
from benchmarks.leaderboard.results import Store
from benchmarks.leaderboard.splits import CASES
from benchmarks.leaderboard.systems import BY_NAME, ENTRIES, Combination, Peer, System, same
from benchmarks.shops import read_sequences
from tests.benchmarks.tiny_case import TinyCase

SPLIT = "tiny-time"
POPULARITY = System("popularity", same(PopularityConfig(half_life_days=7)), frozenset({SPLIT}))


@pytest.fixture(scope="module")
def case(tiny_data):
    known = {"popularity": "measured elsewhere"}
    return TinyCase(SPLIT, "Tiny", "none", lambda events, seed: split_time(events), known=known, tiny=tiny_data)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def key(system: System) -> str:
    return system.key(SPLIT)


def test_measures_only_what_is_missing(case, store, tmp_path):
    assert measure_missing(case, [POPULARITY], store, n_seeds=1) == 0
    first = tmp_path / SPLIT / "popularity" / "seed-0.json"
    before = first.stat().st_mtime_ns
    assert measure_missing(case, [POPULARITY], store, n_seeds=2) == 0
    assert first.stat().st_mtime_ns == before
    assert [result.seed for result in store.results(SPLIT, "popularity", range(2), key(POPULARITY))] == [0, 1]


def test_other_settings_are_measured_anew(case, store):
    measure_missing(case, [POPULARITY], store, n_seeds=1)
    changed = System("popularity", same(PopularityConfig(half_life_days=8)))
    assert store.result(SPLIT, "popularity", 0, key(changed)) is None
    measure_missing(case, [changed], store, n_seeds=1)
    result = store.result(SPLIT, "popularity", 0, key(changed))
    assert result is not None
    assert result.settings == {"half_life_days": 8}


@pytest.mark.parametrize(("start", "fewest"), [("random", 1), ("svd", 0)])
def test_towers_choose_epochs_before_the_test_part(case, store, start, fewest):
    """None at all where their start is best: then nothing is trained on the whole train part either."""
    towers = System("towers", same(TwoTowerConfig(epochs=3, evaluations=3, embedding_size=8, item_start=start)))
    assert measure_missing(case, [towers], store, n_seeds=1) == 0
    chosen = store.chosen(SPLIT, "towers", key(towers))
    result = store.result(SPLIT, "towers", 0, key(towers))
    assert chosen is not None
    assert result is not None
    assert fewest <= chosen.epochs == result.epochs <= 3
    assert chosen.recall is not None


def test_a_refusal_is_reported_and_the_rest_goes_on(case, store, capsys):
    refused = System("ease", same(EASEConfig(max_items=1)))
    assert measure_missing(case, [refused, POPULARITY], store, n_seeds=1) == 1
    assert "max_items=1" in capsys.readouterr().err
    assert store.result(SPLIT, "popularity", 0, key(POPULARITY)) is not None


def test_page_shows_what_is_there_and_names_what_is_not(case, store):
    measure_missing(case, [POPULARITY], store, n_seeds=1)
    results = store.results(SPLIT, "popularity", range(2), key(POPULARITY))
    text = page({case: {"popularity": results, "ease": []}}, n_seeds=2)
    assert f"**{results[0].metrics['ndcg@10'].mean:.4f}**" in text
    assert "`half_life_days=7.0`" in text
    assert "measured elsewhere" in text
    assert "popularity (1 of 2 seeds), ease (0 of 2 seeds)" in text
    assert OLDER not in text
    older = [results[0].model_copy(update={"code": "of yesterday"})]
    assert f"popularity {OLDER}" in page({case: {"popularity": older}}, n_seeds=1)


def test_pages_are_written_without_data(tmp_path):
    """Those alone that show the asked splits."""
    asked = ["--write-only", "--results", str(tmp_path), "--pages", str(tmp_path)]
    assert main([*asked, "--split", "beauty-last"]) == 0
    assert "measured never" in (tmp_path / "retrieval-shops.md").read_text()
    assert not (tmp_path / "retrieval.md").exists()
    assert main(asked) == 0
    assert "MovieLens" in (tmp_path / "retrieval.md").read_text()


def test_an_unknown_split_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--split", "beauty-first", "--write-only"])
    assert "no split beauty-first; there are 100k-random" in capsys.readouterr().err


def test_a_line_of_a_shop_is_a_history_in_order(tmp_path):
    (tmp_path / "shops").mkdir()
    (tmp_path / "shops" / "Beauty.txt").write_text("7 30 10 20\n4 10 40\n")
    assert read_sequences("Beauty", tmp_path).interactions.to_pydict() == {
        "user_id": [7, 7, 7, 4, 4],
        "item_id": [30, 10, 20, 10, 40],
        "timestamp_s": [0, 1, 2, 0, 1],
    }
    with pytest.raises(InputError, match=r"Sports\.txt: no such file; put the sequences of S3-Rec there"):
        read_sequences("Sports", tmp_path)


def test_a_combination_is_made_of_stored_lists(case, store, monkeypatch, capsys):
    parts = {"popularity": POPULARITY, "ease": System("ease", same(EASEConfig()))}
    monkeypatch.setattr("benchmarks.leaderboard.systems.BY_NAME", parts)
    monkeypatch.setattr("benchmarks.leaderboard.combine.BY_NAME", parts)
    both = Combination("both", ("ease", "popularity"), frozenset({SPLIT}))
    assert measure_missing(case, [both], store, n_seeds=1) == 1
    assert "measure it first: --systems ease" in capsys.readouterr().err

    assert measure_missing(case, [*parts.values(), both], store, n_seeds=1) == 0
    chosen = store.chosen(SPLIT, "both", both.key(SPLIT))
    result = store.result(SPLIT, "both", 0, both.key(SPLIT))
    assert chosen is not None
    assert result is not None
    assert result.settings == {"weight of ease": 1.0, "weight of popularity": chosen.weights["popularity"]}
    assert result.metrics["recall@200"].mean == pytest.approx(1)  # 120 items: all that is unseen is listed


PEER_SCRIPT = """
import json, sys
import pandas as pd

split, lists, _, epochs, _, seed = sys.argv[1:]
events = pd.read_parquet(f"{split}/train.parquet")
items = events["item_id"].value_counts().index
watched = events.groupby("user_id")["item_id"].agg(set)
rows = [(user, item, -rank) for user in watched.index for rank, item in enumerate(items) if item not in watched[user]]
pd.DataFrame(rows, columns=["user_id", "item_id", "score"]).to_parquet(lists)
print("some talk")
print(json.dumps({"fit_s": 1.5, "users_per_s": 10.0}))
"""


def test_a_peer_is_judged_by_its_lists(case, store, tmp_path, monkeypatch):
    (tmp_path / "peer.py").write_text(PEER_SCRIPT)
    monkeypatch.setattr("benchmarks.leaderboard.peer.FOLDER", tmp_path)
    peer = Peer("a-peer", "peer.py", 7, frozenset({SPLIT}))
    popular = System("popularity", same(PopularityConfig()), frozenset({SPLIT}))
    assert measure_missing(case, [peer, popular], store, n_seeds=1, peer_python=Path(sys.executable)) == 0
    found, ours = (store.result(SPLIT, entry.name, 0, entry.key(SPLIT)) for entry in (peer, popular))
    assert found is not None
    assert ours is not None
    assert (found.epochs, found.fit_s, found.n_users) == (7, 1.5, ours.n_users)
    # The same lists but for the order of items that equally many people watched.
    assert found.metrics["ndcg@10"].mean == pytest.approx(ours.metrics["ndcg@10"].mean, abs=0.01)


def test_names_are_unique_and_known_figures_have_a_row():
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    for case in CASES:
        rows = {entry.name for entry in ENTRIES if case.name in entry.splits}
        assert set(case.known) <= rows
        for entry in ENTRIES:
            if isinstance(entry, Combination) and case.name in entry.splits:
                assert all(case.name in BY_NAME[part].splits for part in entry.parts)


def test_an_unknown_system_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--systems", "oracle", "--write-only"])
    assert "no system oracle" in capsys.readouterr().err
