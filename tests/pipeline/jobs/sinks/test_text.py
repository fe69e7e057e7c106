"""CSV and JSON lines: what was written is read again the same, by Belfry and by others."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.jobs.sinks.base import LeftOut, writing
from belfry.pipeline.jobs.sinks.destination import FORMATS, Format, sink_of
from belfry.pipeline.serving.recommender import Recommender
from tests.pipeline.small_recommender import SmallRecommender

TEXTS = ["plain", 'quo"te', "new\nline", "com,ma", "é 日本", "=1+1", " ", "\\", "null", "1", "\x1b[2J"]
TABLE = pa.table(
    {
        "user_id": TEXTS,
        "rank": pa.array(range(len(TEXTS)), pa.int32()),
        "item_id": pa.array([2**62 + place for place in range(len(TEXTS))]),
        "score": pa.array(np.float32([0.1, 1e-9, -200, 3.4e38, 0.333333333, 0, 1, 5, 1e-38, 7, 8])),
        "watched": pa.array([[text, "x"] for text in TEXTS]),
        "share": pa.array([[0.1, 1e-7], *[[]] * (len(TEXTS) - 1)], pa.list_(pa.float32())),
    }
)
NOBODY = LeftOut({}, ())


@pytest.mark.parametrize("kind", FORMATS)
def test_blocks_come_back_as_they_were(tmp_path: Path, kind: Format) -> None:
    path = tmp_path / f"table.{kind}"
    blocks = [TABLE.slice(0, 4), TABLE.slice(4, 0), TABLE.slice(4)]
    with writing(FORMATS[kind](path), TABLE.schema) as sink:
        for block in blocks:
            sink.write(block)
        sink.leave_out(NOBODY)
        sink.close()
        read = list(sink.blocks())
    assert pa.concat_tables(read).equals(TABLE)
    assert [len(block) for block in read if len(block)] == [4, len(TEXTS) - 4]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["_left_out.json", f"table.{kind}"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_others_read_it(tmp_path: Path, kind: Format) -> None:
    path = tmp_path / f"table.{kind}"
    with writing(FORMATS[kind](path), TABLE.schema) as sink:
        sink.write(TABLE)
    if kind == "csv":
        frame = pd.read_csv(path, keep_default_na=False)
        assert frame["user_id"].tolist() == TEXTS
        assert [json.loads(text) for text in frame["watched"]] == TABLE["watched"].to_pylist()
        assert path.read_text(encoding="utf-8").startswith(
            '"user_id","rank","item_id","score","watched","share"\n"plain",0,'
        )
    else:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        assert [row["user_id"] for row in rows] == TEXTS
        assert rows[0] == {
            **{"user_id": "plain", "rank": 0, "item_id": 2**62, "score": 0.1},
            **{"watched": ["plain", "x"], "share": [0.1, 1e-7]},
        }
    assert not [name for name in ("frame", "rows") if name in locals() and len(locals()[name]) != len(TABLE)]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("text_ids", [False, True])
def test_the_table_job_writes_what_it_writes_as_parquet(tmp_path: Path, kind: Format, text_ids: bool) -> None:
    recommender = SmallRecommender(text_ids=text_ids)
    result = write_batch(recommender, tmp_path / "out", n=4, format=kind)
    assert result.path.name == f"recommendations.{kind}"
    frame = pd.read_csv(result.path) if kind == "csv" else pd.read_json(result.path, lines=True, precise_float=True)
    wanted = recommender.recommend_many(recommender.users.ids, 4).to_pandas()
    pd.testing.assert_frame_equal(frame.astype({"score": np.float32}), wanted, check_dtype=False)
    assert {left.user_id for left in result.left_out} == ({"u7", "u8"} if text_ids else {7, 8})
    again = write_batch(recommender, tmp_path / "out", n=3, format=kind)
    assert again.n_rows < result.n_rows


def test_a_stopped_job_goes_on_in_any_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("belfry.pipeline.jobs.batch_parts.USERS_PER_PART", 10)

    def stop(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    recommender = SmallRecommender()
    with pytest.raises(KeyboardInterrupt):
        write_batch(recommender, tmp_path / "out", n=4, format="csv", progress=stop)
    result = write_batch(recommender, tmp_path / "out", n=4, format="csv")
    whole = write_batch(recommender, tmp_path / "whole", n=4, format="csv")
    assert result.resumed and result.path.read_bytes() == whole.path.read_bytes()


def test_what_was_damaged_on_the_disk_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from belfry.dataset.errors import BelfryError
    from belfry.pipeline.jobs.sinks.text import CSVSink

    close = CSVSink.close

    def damaging(self: CSVSink) -> None:
        close(self)
        content = self._aside.read_bytes()
        self._aside.write_bytes(content.replace(b'"a"', b'"z"', 1))

    monkeypatch.setattr(CSVSink, "close", damaging)
    with pytest.raises(BelfryError, match=r"recommendations\.csv is not published, an earlier one stays"):
        write_batch(SmallRecommender(), tmp_path / "out", n=4, format="csv")
    assert not (tmp_path / "out" / "recommendations.csv").exists()


@pytest.mark.parametrize("out", ["s3://bucket/prefix", "delta:table", "duckdb:file?table=x", "postgresql://h/d"])
def test_other_places_have_one_form(tmp_path: Path, out: str) -> None:
    with pytest.raises(InputError, match="csv and jsonl are forms of a file in a folder"):
        sink_of(out, tmp_path, "csv")


def test_tables_of_two_formats_need_two_folders(tmp_path: Path) -> None:
    recommender: Recommender = SmallRecommender()
    write_batch(recommender, tmp_path / "out", n=4)
    with pytest.raises(InputError, match=r"holds other files \(recommendations\.parquet\)"):
        write_batch(recommender, tmp_path / "out", n=4, format="csv")
