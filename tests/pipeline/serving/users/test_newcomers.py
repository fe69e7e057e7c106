"""Users whose features come with the call: answered as if the run had known them, or refused in words."""

import datetime
import logging
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from belfry import Recommender, recommend
from belfry.dataset.encoding.table import FeatureEncoder
from belfry.dataset.errors import InputError, TableError, UnknownUserError
from belfry.dataset.sources.demo import generate
from belfry.dataset.validation.policy import Policy
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.batch_users import read_users
from belfry.pipeline.serving.users.newcomers import FeatureReader
from tests.pipeline.small_recommender import SmallRecommender

FIRST_NEW = 10**6


@pytest.fixture(scope="module")
def recommender(tiny_run: Path) -> Recommender:
    return Recommender.load(tiny_run)


@pytest.fixture(scope="module")
def told() -> dict[int, dict]:
    """What the users table of `tiny_run` says of each user."""
    table = generate(n_users=150, n_items=120, n_watches=4_000).users
    assert table is not None
    return {row.pop("user_id"): row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def cold(recommender: Recommender) -> list[int]:
    """Users with features and without a history."""
    numbers = np.arange(1, len(recommender.users) + 1, dtype=np.int32)
    without = numbers[recommender.features.history.seen_items.count(numbers) == 0]
    assert len(without) > 3
    users: list[int] = recommender.users.take(without).to_pylist()
    return users


@pytest.fixture(scope="module")
def table(told: dict[int, dict], cold: list[int]) -> pa.Table:
    """The cold users' features under ids that the run does not know."""
    rows = [{"user_id": FIRST_NEW + place, **told[user]} for place, user in enumerate(cold)]
    return pa.Table.from_pylist(rows)


def test_somebody_new_gets_the_list_of_a_cold_user_of_the_same_features(
    recommender: Recommender, told: dict[int, dict], cold: list[int]
) -> None:
    lists = set()
    for user in cold:
        known = recommender.recommend(user, 20)
        assert recommender.recommend(None, 20, features=told[user]) == known
        assert recommender.recommend(FIRST_NEW, 20, features=told[user]) == known
        lists.add(tuple(result.item_id for result in known))
    assert len(lists) > 1


def test_first_watches_go_with_features(recommender: Recommender, told: dict[int, dict], cold: list[int]) -> None:
    user, items = cold[0], recommender.items.ids[:2].to_pylist()
    known = recommender.recommend(user, 10, history=items)
    assert recommender.recommend(None, 10, features=told[user], history=items) == known
    assert not any(result.is_cold or result.item_id in items for result in known)
    assert recommender.recommend(None, 10, history=items)


def test_somebody_of_whom_nothing_is_known_gets_the_common_list(recommender: Recommender) -> None:
    common = recommender.recommend(FIRST_NEW, 10)
    for nothing in ({"features": {}}, {"history": []}, {"features": {"age": None, "gender": float("nan")}}):
        assert recommender.recommend(None, 10, **nothing) == common
    with pytest.raises(InputError, match="the id None is missing"):
        recommender.recommend(None)
    with pytest.raises(UnknownUserError):
        recommender.recommend(None, features={}, strict=True)


def test_features_take_the_place_of_known_ones_for_this_call(
    recommender: Recommender, told: dict[int, dict], cold: list[int]
) -> None:
    one, other = cold[0], next(user for user in cold if told[user]["occupation"] != told[cold[0]]["occupation"])
    before = recommender.recommend(one, 20)
    changed = recommender.recommend(one, 20, features=told[other])
    assert changed == recommender.recommend(other, 20)
    partly = recommender.recommend(one, 20, features={"occupation": told[other]["occupation"]})
    mixed = {**told[one], "occupation": told[other]["occupation"]}
    assert partly == recommender.recommend(None, 20, features=mixed)
    assert recommender.recommend(one, 20) == before


def test_reasons_of_somebody_new(recommender: Recommender, told: dict[int, dict], cold: list[int]) -> None:
    known = recommender.recommend(cold[0], 5, explain=True)
    assert recommender.recommend(None, 5, features=told[cold[0]], explain=True) == known
    assert any(effect.feature for result in known if result.because for effect in result.because.features)


def with_views(table: pa.Table) -> pa.Table:
    fields = [field.with_type({pa.string(): pa.string_view()}.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


CONTAINERS: dict[str, Callable[[pa.Table], Any]] = {
    "arrow": lambda users: users,
    "batch": lambda users: users.combine_chunks().to_batches()[0],
    "reader": pa.Table.to_reader,
    "views": with_views,
    "pandas": pa.Table.to_pandas,
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_table_of_newcomers_and_known_users(
    recommender: Recommender, table: pa.Table, cold: list[int], container: str
) -> None:
    known = next(user for user in recommender.users.ids.to_pylist() if user not in cold)
    odd = pa.table({"user_id": [known], "age": [3], "gender": ["F"], "occupation": ["writer"]}, table.schema)
    users = pa.concat_tables([table.slice(0, 2), odd, table.slice(2)])
    rows = recommender.recommend_many(CONTAINERS[container](users), 7, workers=1)
    assert rows["user_id"].unique().to_pylist() == users["user_id"].to_pylist()
    alone = recommender.recommend_many([known, *cold], 7)
    for asked, same in [(known, known), *((FIRST_NEW + place, user) for place, user in enumerate(cold))]:
        ours, theirs = (
            one.filter(pa.compute.equal(one["user_id"], user)).drop_columns("user_id")
            for one, user in ((rows, asked), (alone, same))
        )
        assert ours.equals(theirs)
    assert recommender.recommend_many(users, 7, workers=2).equals(rows)
    assert recommender.recommend_many(table, 7).num_rows == 7 * len(cold)


def test_the_table_job_reads_features_of_newcomers(recommender: Recommender, table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "newcomers.parquet")
    pa.csv.write_csv(table, tmp_path / "newcomers.csv")
    wanted = recommender.recommend_many(table, 5)
    for name in ("newcomers.parquet", "newcomers.csv"):
        users = read_users(tmp_path / name, recommender)
        written = pq.read_table(write_batch(recommender, tmp_path / f"{name}.out", users=users, n=5).path)
        assert written.replace_schema_metadata(None).equals(wanted.replace_schema_metadata(None))


def test_a_stopped_job_takes_no_parts_of_other_features(
    recommender: Recommender, table: pa.Table, tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_batch(recommender, tmp_path / "out", users=table, n=5, progress=stop)
    others = table.set_column(1, "age", pa.array([18] * len(table)))
    assert not write_batch(recommender, tmp_path / "out", users=others, n=5).resumed
    with pytest.raises(KeyboardInterrupt):
        write_batch(recommender, tmp_path / "out", users=table, n=5, progress=stop)
    assert write_batch(recommender, tmp_path / "out", users=table, n=5).resumed


def test_a_user_twice_in_a_table_is_answered_by_the_first_row(
    recommender: Recommender, table: pa.Table, tmp_path: Path
) -> None:
    twice = pa.concat_tables([table, table.set_column(1, "age", pa.array([90] * len(table)))])
    done = write_batch(recommender, tmp_path / "out", users=twice, n=5)
    assert done.n_repeated == len(table)
    wanted = recommender.recommend_many(table, 5)
    assert pq.read_table(done.path)["item_id"].equals(wanted["item_id"])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"agee": 3}, "reads no column 'agee' of users, there are 'age', 'gender', 'occupation'; did you mean 'age'"),
        ({3: 3}, "reads no column 3 of users"),
        ({"age": "old"}, "column 'age' of run .* holds a number, 'old' is none"),
        ({"age": float("inf")}, "holds a number, inf is none"),
        ({"age": [3]}, r"holds a number, \[3\] is none"),
        ({"age": 10**5000}, "holds a number, inf is none"),
        ({"gender": 1.5}, "column 'gender' of run .* holds one category or text, 1.5 is none"),
        ({"gender": ["F"]}, "holds one category"),
        ({"gender": "\ud800"}, "holds Unicode text"),
        ([("age", 3)], "wanted names and values"),
    ],
)
def test_what_cannot_be_meant_is_refused(recommender: Recommender, features: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        recommender.recommend(None, features=features)


def test_a_run_without_columns_of_users() -> None:
    with pytest.raises(InputError, match="reads no column 'age' of users, its users have none"):
        SmallRecommender().recommend(None, features={"age": 3})


def test_an_unknown_category_is_told_and_unknown(recommender: Recommender, caplog: pytest.LogCaptureFixture) -> None:
    unknown = recommender.recommend(None, 10, features={"occupation": "pilot\x1b"})
    assert recommender.recommend(None, 10, features={}) == unknown
    (message,) = caplog.messages
    assert message.startswith("note: features: column 'occupation' of run ")
    assert message.endswith(r"knows no 'pilot\x1b'; read as unknown")


def test_spellings_of_one_value(recommender: Recommender) -> None:
    wanted = recommender.recommend(None, 20, features={"age": 31.0, "gender": "F"})
    for age in (31, "31", " 31.0", np.int8(31), np.float32(31)):
        assert recommender.recommend(None, 20, features={"age": age, "gender": np.str_("F")}) == wanted


def test_tables_that_cannot_be_read(recommender: Recommender, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TableError, match="users: column 'age' is text in which 1 values are no numbers"):
        recommender.recommend_many(pa.table({"user_id": [FIRST_NEW], "age": ["old"]}))
    with pytest.raises(TableError, match="users: column 'age' is there 2 times; keep one"):
        recommender.recommend_many(pa.table([[FIRST_NEW], [1], [2]], ["user_id", "age", "age"]))
    with pytest.raises(InputError, match="a table needs one column 'user_id', there are 'user'"):
        recommender.recommend_many(pd.DataFrame({"user": [FIRST_NEW]}))
    assert not caplog.messages
    recommender.recommend_many(pa.table({"user_id": [FIRST_NEW], "shoe": [42]}))
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        f"users: columns that run {recommender.run.name} does not read: 'shoe'"
    ]


def test_the_function_passes_features_on(tiny_run: Path, recommender: Recommender) -> None:
    features = {"age": 31, "gender": "F"}
    assert recommend(None, 5, artifacts=tiny_run, features=features) == recommender.recommend(
        None, 5, features=features
    )


class TestKinds:
    """Values of every kind, as a call hands them over and as a table holds them."""

    TABLE = pa.table(
        {
            "user_id": list(range(8)),
            "since": [datetime.date(2020, 1, 1 + day) for day in range(8)],
            "vip": [True, False] * 4,
            "zip": [1900, 1901] * 4,
            "tags": ["a|b", "a", "b", "a|b"] * 2,
            "likes": [["x"], ["x", "y"], ["y"], []] * 2,
        }
    )

    @pytest.fixture
    def reader(self) -> FeatureReader:
        from belfry.dataset.tables import Tables
        from belfry.dataset.validation.check import check

        policy = Policy(category_columns=("zip",), list_columns=("tags",))
        events = pa.table({"user_id": [0, 1, 2], "item_id": [1, 2, 3]})
        checked = check(Tables(events, users=self.TABLE), policy)[0]
        return FeatureReader(FeatureEncoder.learn(checked.users, id_column="user_id"), policy, "run")

    def test_a_row_of_a_table_is_the_same_as_values(self, reader: FeatureReader) -> None:
        assert list(reader.encoder.encoders) == ["since", "vip", "zip", "tags", "likes"]
        ids = pa.array(range(8))
        rows = reader.newcomers(self.TABLE, ids).columns
        for place, values in enumerate(self.TABLE.drop_columns("user_id").to_pylist()):
            one = reader.one(values)
            for kind in ("categorical", "numeric", "multi_valued"):
                for name, column in getattr(one, kind).items():
                    assert np.array_equal(column[1], getattr(rows, kind)[name][place + 1]), name
        assert rows.multi_valued["tags"][1].tolist() == [1, 2]

    def test_times(self, reader: FeatureReader) -> None:
        day = reader.one({"since": datetime.date(2020, 1, 3)})
        noon = datetime.datetime(2020, 1, 3, tzinfo=datetime.UTC)
        texts = ("2020-01-03", "2020-01-03 02:00+02:00")
        seconds = Decimal(int(noon.timestamp()))
        in_numpy = (np.datetime64("2020-01-03"), np.datetime64("2020-01-03", "ns"))
        for same in (*texts, seconds, noon, noon.replace(tzinfo=None), *in_numpy):
            assert reader.one({"since": same}).numeric["since"][1] == day.numeric["since"][1]
        assert reader.one({"since": int(noon.timestamp())}).numeric["since"][1] == day.numeric["since"][1]
        for wrong in ("2020-13-01", "soon", Decimal("NaN")):
            with pytest.raises(InputError, match="holds a number"):
                reader.one({"since": wrong})

    def test_lists(self, reader: FeatureReader, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            for given in (["x", "new"], ("x", "new"), np.array(["x", "new"]), "x|new"):
                assert reader.one({"likes": given}).multi_valued["likes"][1].tolist() == [1, 0]
        assert len(caplog.messages) == 4
        with pytest.raises(InputError, match="'likes' of run run holds a list of categories, 3 is none"):
            reader.one({"likes": 3})
