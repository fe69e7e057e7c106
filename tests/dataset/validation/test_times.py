"""Times of other people's tables: text, units, dates as digits, and clocks that stand wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belfry.dataset.errors import TableError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.folds import make_folds
from belfry.dataset.prepare import prepare
from belfry.dataset.sources.tabular import read_tables
from belfry.dataset.split import split_time
from belfry.dataset.validation.check import check
from belfry.dataset.validation.date_times import seconds_of_text
from belfry.dataset.validation.policy import Policy
from belfry.dataset.validation.times import range_of_most

NOON_S = 1_609_675_373  # 2021-01-03 12:02:53 in UTC
DAY_S = 86_400


def frame(times: object) -> pd.DataFrame:
    n = len(times)  # type: ignore[arg-type]
    return pd.DataFrame({"user_id": [row % 3 for row in range(n)], "item_id": range(n), "timestamp_s": times})


def times_of(source: object, policy: Policy | None = None) -> list[int]:
    checked, _ = check(read_tables(source), policy or Policy())  # type: ignore[arg-type]
    return checked.interactions["timestamp_s"].to_pylist()


def notes_of(times: object, policy: Policy | None = None) -> list[str]:
    return check(read_tables(frame(times)), policy or Policy())[1].lines()


class TestText:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("2021-01-03 12:02:53", NOON_S),
            ("2021-01-03T12:02:53", NOON_S),
            ("2021-01-03T12:02:53Z", NOON_S),
            ("2021-01-03T12:02:53.277Z", NOON_S),
            ("2021-01-03 12:02:53.277123", NOON_S),
            ("2021-01-03 12:02:53 UTC", NOON_S),
            ("2021-01-03 14:02:53+02:00", NOON_S),
            ("2021-01-03T14:02:53+0200", NOON_S),
            ("2021-01-03 06:32:53-05:30", NOON_S),
            ("2021-01-03 12:02", NOON_S - 53),
            ("2021-01-03", NOON_S - 53 - 2 * 60 - 12 * 3600),
            (str(NOON_S), NOON_S),
            (f"{NOON_S}.75", NOON_S),
        ],
    )
    def test_one_text_is_one_time_in_every_kind_of_file(self, tmp_path: Path, text: str, seconds: int) -> None:
        table = frame([text] * 4)
        table.to_csv(tmp_path / "t.csv", index=False)
        table.to_parquet(tmp_path / "t.parquet", index=False)
        for source in (tmp_path / "t.csv", tmp_path / "t.parquet", table):
            assert times_of(source) == [seconds] * 4

    def test_zones_may_differ_from_row_to_row(self, tmp_path: Path) -> None:
        table = frame(["2021-01-03 12:02:53", "2021-01-03 14:02:53+02:00", "2021-01-03T12:02:53Z"])
        table.to_csv(tmp_path / "t.csv", index=False)
        assert times_of(tmp_path / "t.csv") == times_of(table) == [NOON_S] * 3

    @pytest.mark.parametrize(
        "text",
        ["01/03/2021", "3.1.2021", "Jan 3 2021", "2021-02-30", "2021-13-01", "2021-01-03 25:00", "12:02:53", "?"],
    )
    def test_others_are_refused_with_the_way_out(self, tmp_path: Path, text: str) -> None:
        table = frame(["2021-01-03 12:02:53", "2021-01-03 12:02:54", text])
        table.to_csv(tmp_path / "t.csv", index=False)
        for source in (tmp_path / "t.csv", table):
            with pytest.raises(TableError) as caught:
                times_of(source)
            found = (
                "1 values are neither seconds since 1970 nor date-times like '2021-01-03 12:02:53', as the others are"
            )
            assert f"{found} (first in row 2: {text!r}); convert them, for example by pandas.to_datetime" in str(
                caught.value
            )
            assert ("format=" in str(caught.value)) == (text in ("01/03/2021", "3.1.2021"))

    def test_where_no_other_value_is_a_time_none_is_spoken_of(self) -> None:
        with pytest.raises(TableError, match=r"2 values .* like '2021-01-03 12:02:53' \(first in row 0: '01"):
            times_of(frame(["01/03/2021", None, "01/04/2021"]))

    def test_words_for_null_are_null(self) -> None:
        table = frame(["2021-01-03", "NULL", "2021-01-04", "2021-01-05"])
        with pytest.raises(TableError, match=r"has 1 nulls \(first in row 1\)"):
            times_of(table)
        assert len(times_of(table, Policy(bad_time="drop"))) == 3

    @given(
        st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1)),
        st.integers(-14 * 60, 14 * 60),
        st.sampled_from(["T", " "]),
        st.sampled_from(["auto", "milliseconds", "microseconds", "minutes"]),
    )
    def test_as_the_standard_library_reads_them(
        self, time: datetime, minutes: int, separator: str, precision: str
    ) -> None:
        sign, hours = "-" if minutes < 0 else "+", abs(minutes)
        text = time.isoformat(separator, precision) + f"{sign}{hours // 60:02d}:{hours % 60:02d}"
        wanted = datetime.fromisoformat(text)
        assert seconds_of_text(pa.array([text]))[0].as_py() == int(
            (wanted - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
        )


class TestUnits:
    @pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
    def test_seconds_and_their_parts(self, per_second: int) -> None:
        times = np.arange(NOON_S, NOON_S + 10) * per_second
        assert times_of(frame(times)) == list(range(NOON_S, NOON_S + 10))
        assert times_of(frame([str(time) for time in times])) == list(range(NOON_S, NOON_S + 10))
        unit = {1: "", 10**3: "milli", 10**6: "micro", 10**9: "nano"}[per_second]
        told = f"note: interactions: column 'timestamp_s' holds {unit}seconds ({times[0]} to {times[-1]}), no seconds;"
        assert notes_of(times) == ([] if per_second == 1 else [f"{told} read as such: 2021-01-03 to 2021-01-03 in UTC"])

    @pytest.mark.parametrize(
        ("digits", "format_"),
        [
            (["20210103", "20210104"], "%Y%m%d"),
            (["202101031202", "202101031203"], "%Y%m%d%H%M"),
            (["20210103120253", "20240229235959"], "%Y%m%d%H%M%S"),
        ],
    )
    def test_dates_written_as_digits(self, digits: list[str], format_: str) -> None:
        wanted = [int(datetime.strptime(one, format_).replace(tzinfo=UTC).timestamp()) for one in digits]
        assert times_of(frame([int(one) for one in digits])) == wanted
        assert times_of(frame([float(one) for one in digits])) == wanted
        assert (
            f"holds dates written as digits ({digits[0]} to {digits[-1]})" in notes_of([int(one) for one in digits])[0]
        )

    def test_milliseconds_beside_seconds_are_refused(self) -> None:
        with pytest.raises(TableError, match=r"has 1 times after the year 2199 .* divide the former by 1000"):
            times_of(frame([NOON_S, NOON_S * 1000, NOON_S]))

    def test_days_and_years_are_an_order_with_a_word(self) -> None:
        for low, high in ((1, 200), (2019, 2024), (18_000, 19_000)):
            (note, *_) = notes_of([low, high, low + 1])
            assert f"within one day of 1970 ({low} to {high}: are they days, or years?)" in note
            assert "days times 86,400) or date-times (pandas.to_datetime)" in note

    def test_hours_are_named(self) -> None:
        (note,) = notes_of([447_000, 447_001, 447_500])
        assert "says that everything happened in 1970 (447000 to 447500 seconds after its start)" in note


class TestWrongClocks:
    def clocks(self, *wrong: int, n: int = 320) -> list[int]:
        times = (NOON_S + np.random.default_rng(0).integers(0, 200 * DAY_S, n)).tolist()
        return [*wrong, *times[len(wrong) :]]

    @pytest.mark.parametrize("wrong", [(4_076_000_000,), (0,), (4_076_000_000, 0, 7), (2**31 - 1,) * 5])
    def test_they_are_taken_for_the_middle(self, wrong: tuple[int, ...]) -> None:
        given, right = self.clocks(*wrong), self.clocks()[len(wrong) :]
        read = times_of(frame(given))
        assert read[len(wrong) :] == right
        assert all(0 <= time - np.median(right) <= len(wrong) for time in read[: len(wrong)])
        assert np.argsort(read[: len(wrong)], kind="stable").tolist() == np.argsort(wrong, kind="stable").tolist()

    def test_folds_and_splits_are_those_of_the_others(self) -> None:
        given = prepare(check(read_tables(frame(self.clocks(4_076_000_000, 0))))[0]).interactions
        for fold in make_folds(given, "time", n_folds=3, seed=0):
            assert len(fold.later) >= len(given) / 10
            assert fold.history.timestamp_s is not None and np.ptp(fold.history.timestamp_s) < 200 * DAY_S
        split = split_time(given, share=0.8)
        assert len(split.test) == len(given) / 5 and split.test.timestamp_s is not None
        assert FeatureTables(given, FeatureColumns(), FeatureColumns()).now_s == max(self.clocks()[2:])

    def test_they_are_named_with_their_gap(self) -> None:
        low, high = (
            datetime.fromtimestamp(limit, UTC).date() for limit in (min(self.clocks()[2:]), max(self.clocks()[2:]))
        )
        assert notes_of(self.clocks(0, 4_076_000_000)) == [
            "note: interactions: column 'timestamp_s' has 1 times 51.0 years or more before all others (1970-01-01 is "
            f"the nearest; the others go from {low} to {high}) (first in row 0); taken for the median of the others",
            "note: interactions: column 'timestamp_s' has 1 times 77.7 years or more after all others (2099-02-28 is "
            f"the nearest; the others go from {low} to {high}) (first in row 1); taken for the median of the others",
        ]

    def test_the_policy(self) -> None:
        given = self.clocks(4_076_000_000)
        assert times_of(frame(given), Policy(far_time="keep")) == given
        assert times_of(frame(given), Policy(far_time="drop")) == given[1:]
        with pytest.raises(TableError, match=r"first in row 0.*--set data.far_time=drop"):
            times_of(frame(given), Policy(far_time="error"))

    @pytest.mark.parametrize(
        "times",
        [
            [30, 50, 40],
            [0] * 10 + [4_076_000_000],  # too few to say what is far
            [NOON_S] * 90 + [NOON_S + 300 * DAY_S] * 10,  # less than a year
            [NOON_S] * 90 + [NOON_S + 4000 * DAY_S] * 10,  # too many for wrong clocks
            [NOON_S - day * DAY_S for day in range(0, 7000, 10)] + [NOON_S + 3000 * DAY_S],  # within half of the span
        ],
    )
    def test_what_is_not_far(self, times: list[int]) -> None:
        assert range_of_most(np.array(times)) == (min(times), max(times))

    @given(st.lists(st.integers(0, 7_258_118_399), max_size=80))
    def test_most_are_near(self, times: list[int]) -> None:
        low, high = range_of_most(np.array(times, np.int64))
        n_far = sum(not low <= time <= high for time in times)
        assert n_far <= 2 * max(1, len(times) // 20) and (n_far == 0 or len(times) >= 20)
        assert not times or (low in times and high in times)
