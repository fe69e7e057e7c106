"""Recommender and recommend(): the promises of every list, and runs that come and go under the callers' feet."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry import Recommendation, Recommender, recommend
from belfry.dataset.errors import ArtifactError, InputError, UnknownUserError
from belfry.dataset.vocabulary import Id
from belfry.pipeline.runs.manifest import MANIFEST, RunInfo
from belfry.pipeline.runs.reader import open_run
from belfry.pipeline.runs.writer import publish
from belfry.pipeline.serving.answers import Answers, Request
from belfry.pipeline.serving.two_stage import Stage
from belfry.pipeline.serving.users.asked import AskedUsers
from tests.pipeline.small_recommender import NO_HISTORY, SEEN_ALL, SmallRecommender

ROOT = Path(__file__).parents[3]
UNKNOWN_USER = 99


@pytest.fixture(scope="module")
def recommender(tiny_run: Path) -> Recommender:
    return Recommender.load(tiny_run)


@pytest.fixture(scope="module")
def users(recommender: Recommender) -> list[int]:
    ids: list[int] = recommender.users.ids.to_pylist()
    return ids


@pytest.fixture(scope="module")
def catalogue(recommender: Recommender) -> set[int]:
    return set(recommender.items.ids.to_pylist())


def seen_by(recommender: Recommender, user: Id) -> set[int]:
    numbers = recommender.features.history.seen_items.of(recommender.users.number(user))
    return set(recommender.items.take(numbers).to_pylist())


@pytest.fixture(scope="module")
def known(recommender: Recommender, users: list[int]) -> int:
    """A user with a history."""
    return next(user for user in users if len(seen_by(recommender, user)) > 5)


@pytest.fixture(scope="module")
def without_history(recommender: Recommender, users: list[int]) -> int:
    return next(user for user in users if not seen_by(recommender, user))


def items_of(results: list[Recommendation]) -> list[Id]:
    return [result.item_id for result in results]


# The promises of a list.


@pytest.mark.parametrize("n", [1, 10, 119, 120, 10_000])
def test_every_list(recommender: Recommender, users: list[int], catalogue: set[int], n: int) -> None:
    for user in [*users[::7], UNKNOWN_USER]:
        results, seen = recommender.recommend(user, n), seen_by(recommender, user)
        assert len(results) == min(n, len(catalogue - seen))
        assert [result.rank for result in results] == list(range(1, len(results) + 1))
        assert len(set(items_of(results))) == len(results)
        assert set(items_of(results)) <= catalogue - seen
        scores = [result.score for result in results]
        assert scores == sorted(scores, reverse=True)
        assert all(result.is_cold == (not seen) for result in results)
        assert all(result.origin in ("two_tower", "popularity", "cold", "unranked") for result in results)


def test_titles_are_those_of_the_items(recommender: Recommender, tiny_run: Path, known: int) -> None:
    table = pq.read_table(tiny_run / "items.parquet").to_pydict()
    titles = dict(zip(table["item_id"], table["title"], strict=True))
    results = recommender.recommend(known, 120)
    assert [result.title for result in results] == [titles[result.item_id] for result in results]
    assert all(result.title for result in results)


def test_seen_items_where_they_are_wanted(recommender: Recommender, known: int, catalogue: set[int]) -> None:
    assert set(items_of(recommender.recommend(known, 500, exclude_seen=False))) == catalogue


def test_exclude(recommender: Recommender, known: int, catalogue: set[int]) -> None:
    first = items_of(recommender.recommend(known, 5))
    results = recommender.recommend(known, 5, exclude=first)
    assert len(results) == 5
    assert not set(first) & set(items_of(results))
    everything_else = recommender.recommend(known, 500, exclude=first)
    assert set(items_of(everything_else)) == catalogue - seen_by(recommender, known) - set(first)


def test_excluding_everything_or_nothing_known(recommender: Recommender, known: int, catalogue: set[int]) -> None:
    assert recommender.recommend(known, 5, exclude=catalogue) == []
    assert recommender.recommend(UNKNOWN_USER, 5, exclude=catalogue) == []
    assert recommender.recommend(known, 5, exclude=[-1]) == recommender.recommend(known, 5)


@pytest.mark.parametrize("kind", ["known", "without_history"])
def test_only(recommender: Recommender, catalogue: set[int], kind: str, request: pytest.FixtureRequest) -> None:
    user = request.getfixturevalue(kind)
    some = sorted(catalogue)[::3]
    unseen = set(some) - seen_by(recommender, user)
    assert set(items_of(recommender.recommend(user, 500, only=some))) == unseen
    assert len(recommender.recommend(user, 2, only=some)) == 2
    assert set(items_of(recommender.recommend(user, 500, only=some, exclude=some[:9]))) == unseen - set(some[:9])
    assert recommender.recommend(user, 5, only=[]) == []
    assert recommender.recommend(user, 5, only=[-1]) == []


def test_only_seen_items_are_none(recommender: Recommender, known: int) -> None:
    seen = seen_by(recommender, known)
    assert recommender.recommend(known, 5, only=seen) == []
    assert set(items_of(recommender.recommend(known, 500, only=seen, exclude_seen=False))) == seen


def test_a_user_who_saw_everything_gets_an_empty_list() -> None:
    small = SmallRecommender()
    assert small.recommend(SEEN_ALL, 5) == []
    assert small.recommend_many([SEEN_ALL], 5).num_rows == 0
    assert small.recommend_many([1, SEEN_ALL, NO_HISTORY], 1)["user_id"].to_pylist() == [1, NO_HISTORY]


# Users.


@pytest.mark.parametrize("user", [UNKNOWN_USER, -1, 1 << 62])
def test_an_unknown_user_is_marked_cold(recommender: Recommender, user: Id) -> None:
    results = recommender.recommend(user, 3)
    assert len(results) == 3
    assert all(result.is_cold for result in results)
    with pytest.raises(UnknownUserError, match=rf"user {user!r} is not in run default-\w+; leave out strict"):
        recommender.recommend(user, 3, strict=True)


def test_a_user_without_a_history_is_cold_and_known(recommender: Recommender, without_history: int) -> None:
    results = recommender.recommend(without_history, 3, strict=True)
    assert len(results) == 3
    assert all(result.is_cold for result in results)


def test_numpys_integers_are_integers(recommender: Recommender, known: int) -> None:
    assert recommender.recommend(np.int32(known), np.int64(3)) == recommender.recommend(known, 3)


@pytest.mark.parametrize("n", [0, -1, True, False, "3", 2.0, None, np.bool_(True)])
def test_an_n_that_is_no_count_is_refused(recommender: Recommender, known: int, n: object) -> None:
    with pytest.raises(InputError, match=r"n=.*: wanted a whole number of at least 1"):
        recommender.recommend(known, n)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"n=.*: wanted a whole number of at least 1"):
        recommender.recommend_many([known], n)  # type: ignore[arg-type]


# Many users.


@pytest.mark.parametrize("n", [1, 10, 500])
def test_many_users_equal_each_alone(recommender: Recommender, users: list[int], n: int) -> None:
    asked = [*users[::-5], UNKNOWN_USER]
    rows = recommender.recommend_many(asked, n).to_pylist()
    for user in asked:
        alone = recommender.recommend(user, n)
        mine = [row for row in rows if row["user_id"] == user]
        assert [(row["rank"], row["item_id"], row["origin"]) for row in mine] == [
            (result.rank, result.item_id, result.origin) for result in alone
        ]
        np.testing.assert_allclose([row["score"] for row in mine], [result.score for result in alone], atol=1e-4)


def test_the_table_of_many(recommender: Recommender, users: list[int]) -> None:
    asked = users[10:2:-1]
    table = recommender.recommend_many(asked, 3)
    assert table.column_names == ["user_id", "rank", "item_id", "score", "origin"]
    assert [str(kind) for kind in table.schema.types] == ["int64", "int32", "int64", "float", "string"]
    assert table["user_id"].to_pylist() == [user for user in asked for _ in range(3)]
    assert table["rank"].to_pylist() == [1, 2, 3] * len(asked)
    about = {b"belfry.run": recommender.run.name.encode(), b"belfry.stage": b"final", b"belfry.repeats": b"exclude"}
    assert table.schema.metadata == about


def test_blocks_of_users_give_what_all_at_once_give(
    recommender: Recommender, users: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [UNKNOWN_USER, *users, UNKNOWN_USER + 1]
    whole = recommender.recommend_many(asked, 10)
    sizes, answer = [], Answers.of_block

    def count(self: Answers, asked: AskedUsers, request: Request) -> pa.Table:
        sizes.append(len(asked))
        return answer(self, asked, request)

    monkeypatch.setattr(Answers, "of_block", count)
    monkeypatch.setattr("belfry.pipeline.serving.answers.ROWS_PER_BLOCK", 1)
    blocks = recommender.recommend_many(asked, 10)
    assert sizes == [1] * len(asked)
    assert blocks.schema.equals(whole.schema, check_metadata=True)
    for name in ("user_id", "rank", "item_id", "origin"):
        assert blocks[name].equals(whole[name])
    np.testing.assert_allclose(blocks["score"], whole["score"], rtol=1e-5)
    assert recommender.recommend_many([], 10).num_rows == 0


def test_a_first_list_loads_only_what_it_needs(tiny_run: Path, recommender: Recommender, users: list[int]) -> None:
    known = next(user for user in users if recommender.recommend(user)[0].origin not in ("cold", "unranked"))
    program = (
        "import sys; from belfry import recommend; run, user = sys.argv[1], int(sys.argv[2]);"
        "assert recommend(user, artifacts=run)[0].origin != 'cold' and recommend(user, artifacts=run, explain=True);"
        "unneeded = ('pandas', 'scipy.optimize', 'scipy.sparse', 'scipy.special', 'pyarrow.dataset');"
        "print([name for name in unneeded if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(tiny_run), str(known)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_order_of_users_and_who_else_is_asked_change_no_list(recommender: Recommender, users: list[int]) -> None:
    shuffled = np.random.default_rng(0).permutation(users).tolist()
    whole = recommender.recommend_many(users, 10)
    parts = pa.concat_tables(
        [recommender.recommend_many(shuffled[start : start + 13], 10).to_arrow() for start in range(0, 150, 13)]
    )
    keys = ["user_id", "rank", "item_id", "origin"]
    by_user = [("user_id", "ascending"), ("rank", "ascending")]
    assert parts.sort_by(by_user).select(keys).to_pylist() == whole.sort_by(by_user).select(keys).to_pylist()


@pytest.mark.parametrize("form", [list, tuple, np.array, pa.array, lambda ids: pa.chunked_array([ids[:2], ids[2:]])])
def test_forms_of_users(recommender: Recommender, users: list[int], form: type) -> None:
    assert recommender.recommend_many(form(users[:5]), 2).equals(recommender.recommend_many(users[:5], 2))


def test_stages_of_many(recommender: Recommender, users: list[int]) -> None:
    numbers, seen = recommender.users.numbers(pa.array(users)), recommender.features.history.seen_items
    stages: tuple[Stage, ...] = ("final", "retrieval")
    for stage in stages:
        table = recommender.recommend_many(users, 10, stage=stage)
        lists = recommender.two_stage.lists(numbers, stage, n=10, exclude=seen, blocked=np.zeros(0, np.int32))
        assert table["item_id"].combine_chunks().equals(recommender.items.take(lists.item_num))
        assert table.schema.metadata[b"belfry.stage"] == stage.encode()
    with pytest.raises(InputError, match="stage='both': wanted 'final' or 'retrieval'"):
        recommender.recommend_many(users, stage="both")  # type: ignore[arg-type]


def test_many_with_items_left_out(recommender: Recommender, users: list[int], catalogue: set[int]) -> None:
    some = sorted(catalogue)[:50]
    table = recommender.recommend_many(users, 500, only=some, exclude=some[:10])
    assert set(table["item_id"].to_pylist()) <= set(some[10:])
    everything = recommender.recommend_many(users[:3], 500, exclude_seen=False)
    assert everything.num_rows == 3 * len(catalogue)


def test_nobody_asked(recommender: Recommender) -> None:
    table = recommender.recommend_many([], 5)
    assert table.num_rows == 0


@pytest.mark.parametrize("stage", ["final", "retrieval"])
def test_a_user_twice_is_refused(recommender: Recommender, users: list[int], stage: str) -> None:
    with pytest.raises(InputError, match="users: 2 are asked for more than once; pass each once"):
        recommender.recommend_many([*users[:3], users[0], users[0]], stage=stage)


@pytest.mark.parametrize("asked", [[1001, "1002"], [1.5], [1001, None], [None], [[1001]]])
def test_users_that_are_no_ids_are_refused(recommender: Recommender, asked: list) -> None:
    with pytest.raises(InputError, match=r"users: the id .* is (str|float|missing|list), those of run .* \(int64\)"):
        recommender.recommend_many(asked, 3)


def test_text_for_users_where_the_runs_are_integers(recommender: Recommender) -> None:
    """Ids are never merged across types, and text cannot be an unknown id: it is a mistake."""
    with pytest.raises(InputError, match=r"users: the id '1001' is str, those of run default-\w+ are whole numbers"):
        recommender.recommend_many(["1001", "1002"], 3)


# Runs.


def republish(run: Path, artifacts: Path, *, mark: str = "", gate_is_open: bool = True) -> Path:
    """Publish a copy of a run, every title with a mark; the gate may be closed."""
    manifest = open_run(run).manifest
    info = RunInfo(**{name: getattr(manifest, name) for name in RunInfo.model_fields})
    with publish(artifacts, info) as writer:
        shutil.copytree(run, writer.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST))
        items = pq.read_table(run / "items.parquet").to_pydict()
        titles = [f"{mark}{title}" for title in items["title"]]
        pq.write_table(pa.table({"item_id": items["item_id"], "title": titles}), writer.folder / "items.parquet")
        writer.notes |= manifest.notes
        writer.gate = manifest.gate.model_copy(update={"is_open": gate_is_open})
    assert writer.published
    return writer.published


def test_a_closed_gate_leaves_retrievals_order(
    recommender: Recommender, tiny_run: Path, users: list[int], tmp_path: Path
) -> None:
    closed = Recommender.load(republish(tiny_run, tmp_path / "artifacts", gate_is_open=False))
    retrieval = recommender.recommend_many(users, 10, stage="retrieval")
    assert closed.recommend_many(users, 10).equals(retrieval)


def test_the_function_answers_as_the_current_run_does(
    recommender: Recommender, tiny_run: Path, known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = recommender.recommend(known, 4)
    assert recommend(known, 4, artifacts=tiny_run.parent) == expected
    assert recommend(known, 4, artifacts=str(tiny_run)) == expected
    monkeypatch.setenv("BELFRY_ARTIFACTS", str(tiny_run.parent))
    assert recommend(known, 4) == expected
    assert Recommender.load().recommend(known, 4) == expected
    first = items_of(expected)[:1]
    assert items_of(recommend(known, 1, exclude=first)) != first
    assert items_of(recommend(known, 1, only=first)) == first
    assert len(recommend(known, 500, exclude_seen=False)) == 120
    with pytest.raises(UnknownUserError, match="user 99 is not in run"):
        recommend(UNKNOWN_USER, strict=True)


def test_a_folder_without_a_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArtifactError, match="not an artifacts folder, or one without a run"):
        recommend(1, artifacts=tmp_path)
    monkeypatch.delenv("BELFRY_ARTIFACTS", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"artifacts: no such folder; train first \(belfry train\)"):
        recommend(1)


def test_a_folder_of_the_same_name_elsewhere_is_another(
    tiny_run: Path, known: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`artifacts` speaks of the working folder at the time of the call."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        republish(tiny_run, tmp_path / name / "artifacts", mark=f"{name}: ")
    monkeypatch.delenv("BELFRY_ARTIFACTS", raising=False)
    for name in ("one", "two", "one"):
        monkeypatch.chdir(tmp_path / name)
        assert str(recommend(known, 1)[0].title).startswith(f"{name}: ")


def test_a_newly_published_run_is_picked_up(tiny_run: Path, known: int, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    republish(tiny_run, artifacts, mark="first ")
    assert {str(result.title).split()[0] for result in recommend(known, 5, artifacts=artifacts)} == {"first"}
    before = Recommender.load(artifacts)
    republish(tiny_run, artifacts, mark="second ")
    assert {str(result.title).split()[0] for result in recommend(known, 5, artifacts=artifacts)} == {"second"}
    assert {str(result.title).split()[0] for result in before.recommend(known, 5)} == {"first"}


def test_many_threads_while_another_run_is_published(tiny_run: Path, users: list[int], tmp_path: Path) -> None:
    """Every result is wholly of one run: its titles bear that run's mark, its items are that run's list."""
    artifacts = tmp_path / "artifacts"
    runs = {"first": republish(tiny_run, artifacts, mark="first ")}
    results: list[tuple[int, list[Recommendation]]] = []
    failures: list[BaseException] = []
    stop, n_threads = threading.Event(), 32
    started = threading.Barrier(n_threads + 1)

    def call(thread: int) -> None:
        try:
            started.wait()
            for call in range(100_000):
                user = users[(thread + call) % len(users)]
                results.append((user, recommend(user, 5, artifacts=artifacts)))
                if stop.is_set():
                    return
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    started.wait()
    runs["second"] = republish(tiny_run, artifacts, mark="second ", gate_is_open=False)
    recommend(users[0], 5, artifacts=artifacts)
    stop.set()
    for thread in threads:
        thread.join(timeout=60)
    assert not failures
    assert len(results) >= n_threads
    expected = {}
    for mark, run in runs.items():
        recommender = Recommender.load(run)
        expected |= {(mark, user): recommender.recommend(user, 5) for user in users}
    assert expected["first", users[0]] != expected["second", users[0]]
    marks = set()
    for user, result in results:
        (mark,) = {str(entry.title).split()[0] for entry in result}
        assert items_of(result) == items_of(expected[mark, user])
        marks.add(mark)
    assert marks == {"first", "second"}


TRAIN_AND_PRINT = """
import json
from pathlib import Path
import sys
from belfry.dataset.sources.demo import generate
from belfry.dataset.validation.check import check
from belfry import Recommender
from belfry.pipeline.config import load_config
from belfry.dataset.prepare import prepare
from belfry.pipeline.training.publish import train_and_publish

data = prepare(check(generate(n_users=60, n_items=50, n_watches=1_200))[0])
settings = ["retrieval.epochs=3", "retrieval.embedding_size=8", "folds=2", "ranker.epochs=2", "n_candidates=20"]
config = load_config("default", holdout="time", settings=settings)
run = train_and_publish(data, config, preset="default", holdout="time", seed=5, artifacts=Path(sys.argv[1]))
recommender = Recommender.load(run)
for stage in ("final", "retrieval"):
    print(json.dumps(recommender.recommend_many(recommender.users.ids, 10, stage=stage).to_pydict()))
"""


@pytest.mark.slow
def test_equal_seeds_give_equal_lists_in_two_processes(tmp_path: Path) -> None:
    printed = []
    for number in range(2):
        command = [sys.executable, "-c", TRAIN_AND_PRINT, str(tmp_path / f"artifacts-{number}")]
        environment = {**os.environ, "PYTHONHASHSEED": str(number)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert printed[0] == printed[1]
    assert printed[0].count("\n") == 2


def test_one_id_where_a_list_is_wanted_is_refused(recommender: Recommender, known: int) -> None:
    with pytest.raises(InputError, match="'abc' is one id; pass a list of ids"):
        recommender.recommend(known, exclude="abc")
