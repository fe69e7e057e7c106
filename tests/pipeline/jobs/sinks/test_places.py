"""The recommendation table wherever it goes: whole or not at all, checked before it is seen, an earlier one kept."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.jobs import batch, batch_parts
from belfry.pipeline.jobs.batch import write_batch
from tests.pipeline.jobs.sinks.conftest import Place
from tests.pipeline.small_recommender import SEEN_ALL, SEEN_ODD, SmallRecommender

ROOT = Path(__file__).parents[4]
PARTS = 6  # users in a part
USERS_IN_CHILD = 60

# A job that dies just before the step that its second argument counts: each call of the sink is one.
DIE = """
import os, signal, sys
from belfry.pipeline.jobs import batch, batch_parts
from tests.pipeline.small_recommender import SmallRecommender

batch_parts.USERS_PER_PART = 30
destination, steps_left = sys.argv[1], int(sys.argv[2])

class Dying:
    def __init__(self, sink):
        self.__dict__["sink"] = sink

    def __getattr__(self, name):
        global steps_left
        if name in ("open", "write", "leave_out", "close", "left_out", "blocks", "commit"):
            steps_left -= 1
            if steps_left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self.sink, name)

sink_of = batch.sink_of
batch.sink_of = lambda *arguments: Dying(sink_of(*arguments))
batch.write_batch(SmallRecommender(n_users=60), destination, n=5)
print("done")
"""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", PARTS)


@pytest.fixture(scope="module")
def recommender() -> SmallRecommender:
    return SmallRecommender()


def lists(recommender: SmallRecommender, n: int) -> pa.Table:
    return recommender.recommend_many(recommender.users.ids, n).to_arrow()


def shown(place: Place) -> pa.Table:
    """The table, in the columns' own types and in order: databases and Delta keep none."""
    table = place.read()
    assert table is not None
    text_types = {pa.large_string(), pa.string_view()}
    fields = [field.with_type(pa.string()) if field.type in text_types else field for field in table.schema]
    return (
        table.cast(pa.schema(fields))
        .replace_schema_metadata(None)
        .sort_by([("user_id", "ascending"), ("rank", "ascending")])
    )


def child(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_table_and_who_is_left_out(recommender: SmallRecommender, place: Place) -> None:
    result = write_batch(recommender, place.destination, n=4)
    assert shown(place).equals(lists(recommender, 4))
    assert place.left_out() == {SEEN_ALL, SEEN_ODD}
    assert (result.n_users, result.n_rows, result.resumed) == (40, len(lists(recommender, 4)), False)


def test_a_new_table_takes_the_place_of_an_earlier_one_of_other_ids(
    recommender: SmallRecommender, place: Place
) -> None:
    write_batch(recommender, place.destination, n=4)
    text = SmallRecommender(text_ids=True)
    write_batch(text, place.destination, n=2)
    assert shown(place).num_rows == lists(text, 2).num_rows
    assert place.left_out() == {f"u{SEEN_ALL}", f"u{SEEN_ODD}"}
    write_batch(recommender, place.destination, n=3)
    assert shown(place).equals(lists(recommender, 3))


def test_nothing_is_seen_before_the_check_is_done(
    recommender: SmallRecommender, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    check = batch._check_written

    def looking(*arguments: object) -> int:
        n_rows = check(*arguments)  # type: ignore[arg-type]
        if not place.destination.startswith("duckdb"):  # one process at a time has the file
            seen.append(place.read())
        return n_rows

    monkeypatch.setattr(batch, "_check_written", looking)
    write_batch(recommender, place.destination, n=2)
    write_batch(recommender, place.destination, n=5)
    if seen:
        before_first, before_second = seen
        assert before_first is None
        assert len(before_second) == len(lists(recommender, 2))
    assert shown(place).equals(lists(recommender, 5))


def test_a_broken_promise_leaves_the_earlier_table(
    recommender: SmallRecommender, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_batch(recommender, place.destination, n=2)
    read_parts = batch.read_parts

    def without_first_user(*arguments: object) -> Iterator[pa.Table]:
        for rows in read_parts(*arguments):  # type: ignore[arg-type]
            yield rows.filter(pc.not_equal(rows["user_id"], rows["user_id"][0]))

    monkeypatch.setattr(batch, "read_parts", without_first_user)
    with pytest.raises(BelfryError, match="is not published, an earlier one stays: a user is neither in the table nor"):
        write_batch(recommender, place.destination, n=5)
    assert shown(place).equals(lists(recommender, 2))


def test_a_stopped_job_goes_on(recommender: SmallRecommender, place: Place) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 2 * PARTS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_batch(recommender, place.destination, n=3, progress=stop)
    assert place.read() is None
    assert write_batch(recommender, place.destination, n=3).resumed
    assert shown(place).equals(lists(recommender, 3))


def test_interrupted_while_it_is_written(
    recommender: SmallRecommender, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_batch(recommender, place.destination, n=2)

    def interrupted(*arguments: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(batch, "_check_written", interrupted)
        write_batch(recommender, place.destination, n=5)
    assert shown(place).equals(lists(recommender, 2))
    assert write_batch(recommender, place.destination, n=5).resumed
    assert shown(place).equals(lists(recommender, 5))


def test_killed_before_every_step(place: Place) -> None:
    if place.destination.startswith("memory"):
        pytest.skip("memory dies with its process")
    recommender = SmallRecommender(n_users=USERS_IN_CHILD)
    write_batch(recommender, place.destination, n=2)
    for step in (1, 2, 4, 5, 8):  # open, write, leave_out, close, commit
        done = child(DIE, place.destination, step)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert shown(place).equals(lists(recommender, 2))
    done = child(DIE, place.destination, 0)
    assert done.stdout == "done\n", done.stderr
    assert shown(place).equals(lists(recommender, 5))


def test_two_jobs_at_once(recommender: SmallRecommender, place: Place) -> None:
    refused = []

    def another(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(InputError, match="in use by process"):
                write_batch(recommender, place.destination, n=2)
            refused.append(done)

    write_batch(recommender, place.destination, n=3, progress=another)
    assert refused
    assert shown(place).equals(lists(recommender, 3))
