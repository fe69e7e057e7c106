"""The recommendation table: what is in it, who is left out of it, what is refused before any scoring."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry.dataset.errors import BelfryError, InputError, TableError
from belfry.pipeline.jobs import batch_parts
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.batch_users import read_users
from belfry.pipeline.runs.lock import hold
from belfry.pipeline.serving.users.asked import AskedUsers
from tests.pipeline.small_recommender import NO_HISTORY, SEEN_ALL, SEEN_ODD, SmallRecommender

PARTS = 6  # users in a part


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(batch_parts, "USERS_PER_PART", PARTS)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture(scope="module")
def recommender():
    return SmallRecommender()


def visible(out):
    return sorted(path.name for path in out.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("stage", ["final", "retrieval"])
def test_the_table_is_what_recommend_many_gives(recommender, out, stage):
    told = []
    result = write_batch(recommender, out, n=4, stage=stage, progress=lambda done, total: told.append((done, total)))
    table = pq.read_table(result.path)
    assert table.equals(recommender.recommend_many(recommender.users.ids, 4, stage=stage).to_arrow())
    assert table.schema.types == [pa.int64(), pa.int32(), pa.string(), pa.float32(), pa.string()]
    assert (result.n_users, result.n_rows, result.n_repeated, result.resumed) == (40, len(table), 0, False)
    assert told == [(min(done, 40), 40) for done in range(PARTS, 46, PARTS)]
    assert visible(out) == ["_left_out.json", "recommendations.parquet"]
    assert not list(out.glob(".parts-*"))


def test_the_final_table_is_in_the_rankers_order(recommender, tmp_path):
    """The ranker turns lists round: it scores an item by minus what retrieval does."""
    final, retrieval = (
        pq.read_table(write_batch(recommender, tmp_path / stage, n=12, stage=stage).path).to_pylist()
        for stage in ("final", "retrieval")
    )
    turned = {(row["user_id"], row["item_id"]): -row["score"] for row in retrieval if row["origin"] != "cold"}
    assert {(row["user_id"], row["item_id"]): row["score"] for row in final if row["origin"] != "cold"} == turned


def test_readers_see_the_table_only(recommender, out):
    result = write_batch(recommender, out, n=3)
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(result.path))


def test_row_groups_and_metadata(recommender, out):
    result = write_batch(recommender, out, n=3)
    with pq.ParquetFile(result.path) as file:
        assert file.num_row_groups == 7
        assert [file.read_row_group(0, ["user_id"])[0][row].as_py() for row in (0, -1)] == [1, PARTS]
        assert file.schema_arrow.metadata == {
            b"belfry.run": b"small-0",
            b"belfry.stage": b"final",
            b"belfry.repeats": b"exclude",
            b"belfry.n": b"3",
            b"belfry.n_left_out": b"2",
        }


def test_who_is_left_out_and_why(recommender, out):
    result = write_batch(recommender, out, n=3)
    reasons = {left.user_id: left.reason for left in result.left_out}
    assert reasons == {
        SEEN_ALL: "has seen the whole catalogue",
        SEEN_ODD: "retrieval brought no item that the user has not seen",
    }
    listing = json.loads((out / "_left_out.json").read_text())
    assert {entry["user_id"]: entry["reason"] for entry in listing.pop("left_out")} == reasons
    about = {"run": "small-0", "stage": "final", "repeats": "exclude", "n": 3}
    about |= {"n_left_out": 2, "n_users": 40, "n_repeated": 0}
    assert listing == about
    assert set(pq.read_table(result.path)["user_id"].to_pylist()) == {*range(1, 41)} - reasons.keys()
    assert "left out (see _left_out.json): 1, reason: has seen the whole catalogue" in result.lines()


def test_lists_with_repeats_are_checked_as_such(recommender, out):
    seen = recommender.features.history.seen_items
    for repeats in ("allow", "only"):
        result = write_batch(recommender, out, n=12, repeats=repeats)
        table = pq.read_table(result.path)
        assert table.schema.metadata[b"belfry.repeats"] == repeats.encode()
        users, items = recommender.users.numbers(table["user_id"]), recommender.items.numbers(table["item_id"])
        is_seen = seen.contains(users, items)
        assert is_seen.all() if repeats == "only" else 0 < is_seen.mean() < 1
    reasons = {left.user_id: left.reason for left in result.left_out}
    assert reasons[NO_HISTORY] == "has no history, so nothing to repeat"
    assert reasons[SEEN_ODD] == "retrieval brought no item that the list may hold"


def test_a_row_that_the_kind_of_list_may_not_hold_is_a_broken_promise(recommender, out):
    ids = recommender.users.ids
    table = pq.read_table(write_batch(recommender, out, n=12, repeats="allow").path)
    for repeats, what in (
        ("exclude", "an item that the user has seen"),
        ("only", "an item that the user has not seen"),
    ):
        with pytest.raises(BelfryError, match=what):
            batch_parts.BatchJob(recommender, AskedUsers(ids), 12, "final", repeats, table.schema).check_rows(
                table, ids
            )


def test_a_part_without_rows(recommender, out):
    result = write_batch(recommender, out, users=pa.array([SEEN_ALL, SEEN_ODD]), n=3)
    assert (result.n_rows, len(result.left_out)) == (0, 2)
    assert len(pd.read_parquet(out)) == 0


def test_given_users_keep_their_order_and_are_answered_once(recommender, out):
    result = write_batch(recommender, out, users=pa.array([30, 1, 30, 12, 1, 30], pa.int16()), n=2)
    assert (result.n_users, result.n_repeated) == (3, 3)
    assert pq.read_table(result.path)["user_id"].to_pylist() == [30, 30, 1, 1, 12, 12]
    assert "asked for more than once: 3 rows" in result.lines()


def test_the_cold_are_answered_and_marked(recommender, out):
    rows = pq.read_table(write_batch(recommender, out, users=pa.array([999, NO_HISTORY, 1, -5]), n=2).path).to_pandas()
    assert rows.groupby("user_id")["origin"].unique().map(list).to_dict() == {
        999: ["cold"],
        NO_HISTORY: ["cold"],
        -5: ["cold"],
        1: ["item_knn"],
    }


def test_more_than_the_catalogue_holds(recommender, out):
    result = write_batch(recommender, out, n=10**12)
    counts = pq.read_table(result.path).to_pandas().groupby("user_id").size()
    seen = recommender.features.history.seen_items
    assert (counts <= 12 - seen.count(counts.index.to_numpy())).all()


@pytest.mark.parametrize(
    ("users", "match"),
    [
        (pa.array([1, None, 3, None]), r"users: 2 ids are missing \(first at place 1\); leave them out"),
        (pa.array(["1"]), r"users: the id '1' is string, those of run small-0 are whole numbers \(int64\)"),
        (pa.array([1.0]), "users: the id 1.0 is double, those of run small-0"),
        (pa.array([], pa.int64()), "users: there are none"),
    ],
)
def test_users_that_are_refused(recommender, out, users, match):
    with pytest.raises(InputError, match=match):
        write_batch(recommender, out, users=users, n=3)
    assert not out.exists()


@pytest.mark.parametrize(("n", "stage"), [(0, "final"), (-1, "final"), (True, "final"), (2.5, "final"), (3, "best")])
def test_a_wrong_call_leaves_no_trace(recommender, out, n, stage):
    with pytest.raises(InputError, match="wanted"):
        write_batch(recommender, out, n=n, stage=stage)
    assert not out.exists()


class TestReadUsers:
    def test_parquet_and_csv(self, recommender, tmp_path):
        pq.write_table(pa.table({"user_id": pa.array([3, 1], pa.int32()), "age": [1, 2]}), tmp_path / "users.parquet")
        (tmp_path / "users.csv").write_text("user_id\n3\n1\n")
        for name in ("users.parquet", "users.csv"):
            assert read_users(tmp_path / name, recommender)["user_id"].to_pylist() == [3, 1]

    def test_csv_ids_become_text_where_the_run_has_text(self, tmp_path, out):
        recommender = SmallRecommender(text_ids=True)
        (tmp_path / "users.csv").write_text("user_id\n1\n20\n")
        users = read_users(tmp_path / "users.csv", recommender)
        assert users.equals(pa.table({"user_id": ["1", "20"]}))
        assert set(pq.read_table(write_batch(recommender, out, users=users, n=1).path)["user_id"].to_pylist()) == {
            "1",
            "20",
        }

    def test_parquet_ids_of_another_type_are_never_converted(self, recommender, tmp_path, out):
        pq.write_table(pa.table({"user_id": ["1"]}), tmp_path / "users.parquet")
        with pytest.raises(InputError, match=r"is string, those of run small-0 are whole numbers \(int64\)"):
            write_batch(recommender, out, users=read_users(tmp_path / "users.parquet", recommender), n=1)

    def test_text_that_is_no_integer_is_not_made_one(self, recommender, tmp_path, out):
        (tmp_path / "users.csv").write_text("user_id\n007\n1\n")
        with pytest.raises(InputError, match=r"is string, those of run small-0 are whole numbers \(int64\)"):
            write_batch(recommender, out, users=read_users(tmp_path / "users.csv", recommender), n=1)

    def test_gaps_are_refused(self, recommender, tmp_path, out):
        (tmp_path / "users.csv").write_text("user_id,age\n1,2\n,3\n")
        with pytest.raises(InputError, match=r"1 ids are missing \(first at place 1\)"):
            write_batch(recommender, out, users=read_users(tmp_path / "users.csv", recommender), n=1)

    def test_a_file_that_is_none(self, recommender, tmp_path):
        (tmp_path / "users.csv").write_text("user,age\n1,2\n")
        with pytest.raises(TableError, match=r"users\.csv: has 0 columns 'user_id', .* are 'user', 'age'"):
            read_users(tmp_path / "users.csv", recommender)
        pq.write_table(pa.table({"user_id": [1.5]}), tmp_path / "users.parquet")
        with pytest.raises(
            TableError, match=r"users\.parquet: column 'user_id' is double, and 1 ids are no whole numbers"
        ):
            read_users(tmp_path / "users.parquet", recommender)
        with pytest.raises(InputError, match="no such file"):
            read_users(tmp_path / "missing.csv", recommender)


class TestPlace:
    def test_a_missing_parent(self, recommender, tmp_path):
        with pytest.raises(InputError, match=r"its parent .*missing is not a folder"):
            write_batch(recommender, tmp_path / "missing" / "out", n=3)

    def test_a_file(self, recommender, out):
        out.write_text("")
        with pytest.raises(InputError, match="is a file, a folder is wanted"):
            write_batch(recommender, out, n=3)

    def test_a_published_run(self, recommender, out):
        out.mkdir()
        (out / "manifest.json").touch()
        with pytest.raises(InputError, match="is a published run, which nothing may be added to; name another folder"):
            write_batch(recommender, out, n=3)
        assert [path.name for path in out.iterdir()] == ["manifest.json"]

    @pytest.mark.parametrize("name", ["current", "other.parquet", "part-0"])
    def test_other_files_are_not_mixed_with_the_table(self, recommender, out, name):
        out.mkdir()
        (out / name).touch()
        with pytest.raises(InputError, match=rf"holds other files \({name}\); name a new folder"):
            write_batch(recommender, out, n=3)
        assert [path.name for path in out.iterdir()] == [name]

    @pytest.mark.parametrize("name", ["recommendations.parquet", "_left_out.json"])
    def test_a_folder_in_the_place_of_a_file(self, recommender, out, name):
        (out / name).mkdir(parents=True)
        with pytest.raises(InputError, match=f"{name}: is a folder where a file is to be written"):
            write_batch(recommender, out, n=3)

    def test_a_job_at_work(self, recommender, out):
        out.mkdir()
        with hold(out / ".lock"), pytest.raises(InputError, match=r"in use by process \d+ on"):
            write_batch(recommender, out, n=3)


def stop_after(n_users):
    def progress(done, total):
        if done >= n_users:
            raise KeyboardInterrupt

    return progress


def stopped_job(recommender, out, *, n=3, n_users=2 * PARTS):
    with pytest.raises(KeyboardInterrupt):
        write_batch(recommender, out, n=n, progress=stop_after(n_users))
    (folder,) = out.glob(".parts-*")
    return folder


class Resumed(SmallRecommender):
    """Counts who is asked for."""

    asked: int = 0

    def recommend_many(self, users, *arguments, **options):
        self.asked += len(users)
        return super().recommend_many(users, *arguments, **options)


def test_a_stopped_job_goes_on_to_the_same_table(recommender, out, tmp_path):
    stopped_job(recommender, out)
    assert visible(out) == []
    resumed = Resumed()
    result = write_batch(resumed, out, n=3)
    assert (resumed.asked, result.resumed) == (40 - 2 * PARTS, True)
    whole = write_batch(recommender, tmp_path / "whole", n=3)
    assert result.path.read_bytes() == whole.path.read_bytes()
    assert (result.left_out, result.n_rows) == (whole.left_out, whole.n_rows)
    assert not list(out.glob(".parts-*"))


@pytest.mark.parametrize(
    "other",
    [
        {"n": 4},
        {"stage": "retrieval"},
        {"users": pa.array([*range(1, 40)])},
        {"users": pa.array([2, 1, *range(3, 41)])},
        {"recommender": SmallRecommender(name="small-1")},
    ],
)
def test_parts_of_another_job_are_not_taken_and_removed(recommender, out, other):
    stopped_job(recommender, out)
    result = write_batch(**({"recommender": recommender, "out": out, "n": 3} | other))
    assert not result.resumed
    assert not list(out.glob(".parts-*"))


def edit(change):
    def damage(path):
        table = pq.read_table(path)
        pq.write_table(change(table), path)

    return damage


def swap(table, column, row, value):
    values = table[column].to_pylist()
    values[row] = value
    position = table.column_names.index(column)
    return table.set_column(position, table.schema.field(position), pa.array(values, table[column].type))


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "garbage": lambda path: path.write_bytes(b"PAR1" + bytes(500) + b"PAR1"),
    "a folder": lambda path: (path.unlink(), path.mkdir(), (path / "x").touch()),
    "a user less": edit(lambda table: table.slice(3)),
    "other columns": edit(lambda table: table.drop(["origin"])),
    "a foreign user": edit(lambda table: swap(table, "user_id", 0, 999)),
    "users mixed": edit(lambda table: table.take([3, 4, 5, 0, 1, 2, *range(6, len(table))])),
    "a foreign item": edit(lambda table: swap(table, "item_id", 0, "zz")),
    "an item twice": edit(lambda table: swap(table, "item_id", 1, table["item_id"][0].as_py())),
    "a gap": edit(lambda table: swap(table, "rank", 1, 3)),
    "a null rank": edit(lambda table: swap(table, "rank", 1, None)),
    "a rising score": edit(lambda table: swap(table, "score", 1, 1e9)),
    "no score": edit(lambda table: swap(table, "score", 1, float("nan"))),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_parts_are_made_again(recommender, out, tmp_path, kind, caplog):
    folder = stopped_job(recommender, out, n_users=40)
    DAMAGES[kind](folder / "part-00001.parquet")
    resumed = Resumed()
    result = write_batch(resumed, out, n=3)
    assert resumed.asked == PARTS
    assert result.path.read_bytes() == write_batch(recommender, tmp_path / "whole", n=3).path.read_bytes()


def test_a_seen_item_in_a_part_is_found(recommender, out):
    folder = stopped_job(recommender, out, n_users=40)
    seen = recommender.items.take(recommender.features.history.seen_items.of(1)[:1])[0].as_py()
    edit(lambda table: swap(table, "item_id", 0, seen))(folder / "part-00000.parquet")
    resumed = Resumed()
    write_batch(resumed, out, n=3)
    assert resumed.asked == PARTS


class TestVerification:
    """What was written is read again before it is published."""

    @pytest.fixture
    def before(self, recommender, out):
        write_batch(recommender, out, n=2)
        return {path.name: path.read_bytes() for path in out.iterdir()}

    def refuse(self, recommender, out, before, match):
        with pytest.raises(BelfryError, match=rf"parquet is not published, an earlier one stays: {match}"):
            write_batch(recommender, out, n=3)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before

    @pytest.mark.parametrize(
        ("column", "row", "value", "match"),
        [
            ("item_id", 0, "zz", "lists: an item outside the catalogue"),
            ("rank", 2, 4, "lists: a rank beyond n"),
            ("score", 1, 1e9, "lists: a rising score"),
            ("user_id", 0, 999, "there are users that nobody asked for"),
        ],
    )
    def test_a_wrong_row(self, recommender, out, before, monkeypatch, column, row, value, match):
        class Writer(pq.ParquetWriter):
            def write_table(self, table, row_group_size):
                super().write_table(swap(table, column, row, value), row_group_size)

        monkeypatch.setattr(pq, "ParquetWriter", Writer)
        self.refuse(recommender, out, before, match)

    @pytest.mark.parametrize(
        ("keep", "match"),
        [
            (lambda table: table.slice(3), "a user is neither in the table nor listed as left out"),
            (
                lambda table: table if table["user_id"][0].as_py() < 37 else None,
                "it has more or fewer blocks than parts were made",
            ),
            (lambda table: pa.concat_tables([table, table]), "there are users .* not in the order asked"),
        ],
    )
    def test_rows_lost_or_doubled(self, recommender, out, before, monkeypatch, keep, match):
        class Writer(pq.ParquetWriter):
            def write_table(self, table, row_group_size):
                if kept := keep(table):
                    super().write_table(kept, len(kept))

        monkeypatch.setattr(pq, "ParquetWriter", Writer)
        self.refuse(recommender, out, before, match)


def test_lists_of_a_trained_run(tiny_run, out):
    """Serving form, both stages, promises checked here by other means than the job's own."""
    from belfry.pipeline.serving.recommender import Recommender

    recommender = Recommender.load(tiny_run)
    table = pq.read_table(write_batch(recommender, out, n=10).path)
    rows = table.to_pandas()
    history = recommender.features.history.to_table().to_pandas()[["user_id", "item_id"]].drop_duplicates()
    assert not rows.merge(history, on=["user_id", "item_id"]).shape[0]
    assert not rows.duplicated(["user_id", "item_id"]).any()
    assert (rows.groupby("user_id")["rank"].agg(list).map(lambda ranks: ranks == [*range(1, len(ranks) + 1)])).all()
    assert (rows.groupby("user_id")["score"].diff().dropna() <= 0).all()
    assert set(rows["user_id"]) == set(recommender.users.ids.to_pylist())
