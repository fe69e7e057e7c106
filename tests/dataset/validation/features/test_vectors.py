"""Columns of vectors: which are taken for them, what is wrong with some, and what becomes of these."""

import numpy as np
import pyarrow as pa
import pytest

from belfry.dataset.encoding.columns import MAX_DIMENSIONS, MAX_RADIUS, VectorEncoder
from belfry.dataset.encoding.table import FeatureEncoder, encode_by
from belfry.dataset.errors import TableError
from belfry.dataset.sources.frames import from_pandas
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import check, examine
from belfry.dataset.validation.features.table import column_uses
from belfry.dataset.validation.features.vectors import as_vectors
from belfry.dataset.validation.policy import Policy
from belfry.dataset.vocabulary import Vocabulary

N, DIM = 12, 8
VECTORS = np.random.default_rng(0).normal(size=(N, DIM)).round(3)
EVENTS = pa.table({"user_id": np.arange(2 * N) % 3, "item_id": np.arange(2 * N) % N})
TYPES = [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float32(), DIM), pa.list_(pa.float16())]


def items(values: pa.Array) -> pa.Table:
    return pa.table({"item_id": np.arange(N), "look": values})


def lists(kind: pa.DataType = TYPES[0], **cells: object) -> pa.Array:
    """`VECTORS`, some cells replaced, as `row_3=...`."""
    rows: list[object] = VECTORS.tolist()
    for name, cell in cells.items():
        rows[int(name.removeprefix("row_"))] = cell
    return pa.array(rows, kind)


def read(values: pa.Array, **settings: object) -> pa.ChunkedArray:
    checked, _ = check(Tables(EVENTS, items(values)), Policy.model_validate(settings))
    assert checked.items is not None
    return checked.items["look"]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_lists_of_floats_of_one_length_are_vectors(kind: pa.DataType) -> None:
    found = read(lists(kind, row_3=None))
    assert found.type == pa.list_(pa.float32(), DIM)
    assert found[3].as_py() is None
    np.testing.assert_allclose(found[5].as_py(), VECTORS[5], atol=1e-2)


def test_text_is_read_as_json_where_it_is_named() -> None:
    text = pa.array([str(row) for row in VECTORS.tolist()])
    assert pa.types.is_string(as_vectors(pa.chunked_array([text])).type) is False
    found = read(text, vector_columns="look")
    np.testing.assert_allclose(found[5].as_py(), VECTORS[5], atol=1e-6)
    with pytest.raises(TableError, match=r"no list of numbers as JSON writes it \(row 2: 'blue'\)"):
        read(pa.array(["[1, 2]", "[3, 4]", "blue", *["[5, 6]"] * (N - 3)]), vector_columns="look")


def test_short_lists_are_vectors_only_by_name() -> None:
    short = pa.array(VECTORS[:, :2].tolist())
    with pytest.raises(
        TableError,
        match=r"of 2 numbers; .* and of 8 or more unless data\.vector_columns names them, or --set",
    ):
        read(short)
    with pytest.raises(TableError, match=r"of up to 9 numbers; .* vectors are lists of one length"):
        read(pa.array([[1.0] * (row % 10) for row in range(N)]))
    assert read(short, vector_columns="look").type == pa.list_(pa.float32(), 2)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ([1.0, 2.0], r"1 of another length than 8 \(first in row 4\)"),
        ([np.nan] * DIM, r"1 with a value that is missing or not finite \(first in row 4\)"),
        ([None] + [1.0] * (DIM - 1), r"1 with a value that is missing or not finite \(first in row 4\)"),
        ([1e300] * DIM, r"1 with a value that is missing or not finite \(first in row 4\)"),
        ([0.0] * DIM, r"1 of zeros alone \(first in row 4\)"),
    ],
)
def test_bad_vectors_are_refused_by_row_or_dropped(cell: list[float], words: str) -> None:
    with pytest.raises(TableError, match=rf"{words}; mend them, or --set data\.bad_vector=drop"):
        read(lists(row_4=cell))
    found = read(lists(row_4=cell), bad_vector="drop")
    assert found.null_count == 1
    assert found[4].as_py() is None


def test_the_table_of_columns_says_vector() -> None:
    raw = Tables(EVENTS, items(lists()))
    checked, _ = examine(raw, Policy())
    assert [use.taken_as for use in column_uses(raw, checked, None) if use.column == "look"] == [f"vector of {DIM}"]


@pytest.mark.parametrize("container", ["lists", "arrays in pandas"])
def test_vectors_of_users_are_read_and_checked_as_those_of_items_are(container: str) -> None:
    def users(**cells: object) -> Tables:
        table = pa.table({"user_id": np.arange(N), "look": lists(**cells)})
        if container == "arrays in pandas":
            frame = table.to_pandas()
            frame["look"] = [None if cell is None else np.asarray(cell) for cell in frame["look"]]
            table = from_pandas(frame)
        return Tables(EVENTS, users=table)

    checked, report = check(users(row_3=None))
    assert checked.users is not None
    assert checked.users["look"].type == pa.list_(pa.float32(), DIM)
    assert checked.users["look"][3].as_py() is None
    assert not any(finding.column == "look" for finding in report.findings)
    with pytest.raises(
        TableError, match=r"users: column 'look' has bad vectors, 1 of another length than 8 \(first in"
    ):
        check(users(row_4=[1.0, 2.0]))


def test_a_later_table_has_vectors_of_the_length_of_training() -> None:
    short = pa.chunked_array([pa.array(VECTORS[:, :2].tolist())])
    with pytest.raises(TableError, match=r"12 of another length than 8 \(first in row 0\); mend them$"):
        as_vectors(short, length=DIM)
    assert as_vectors(short, length=DIM, on_bad="drop").null_count == N
    assert as_vectors(pa.chunked_array([pa.nulls(2)]), length=3).type == pa.list_(pa.float32(), 3)


def encoded(vectors: np.ndarray, missing: int | None = None) -> np.ndarray:
    rows: list[object] = vectors.tolist()
    if missing is not None:
        rows[missing] = None
    table = items(pa.array(rows, pa.list_(pa.float32(), vectors.shape[1])))
    encoder = FeatureEncoder.learn(table, id_column="item_id")
    features = encode_by(encoder, table, Vocabulary(pa.chunked_array([np.arange(N)])), "item_id")
    assert features.matrix.shape == (N + 1, features.vectors["look"].shape[1])
    return features.vectors["look"]


def test_encoded_vectors_are_centred_and_of_mean_square_1() -> None:
    found = encoded(VECTORS + 5, missing=2)
    others = np.delete(found[1:], 2, axis=0)
    assert not found[0].any()
    assert not found[3].any()
    np.testing.assert_allclose(others.mean(axis=0), 0, atol=1e-6)
    assert (others**2).sum(axis=1).mean() == pytest.approx(1, abs=1e-5)


def test_long_vectors_keep_their_products() -> None:
    """Twelve vectors span eleven dimensions at most, so nothing is lost."""
    long = np.random.default_rng(1).normal(size=(N, 3 * MAX_DIMENSIONS))
    found = encoded(long)[1:]
    centred = long - long.mean(axis=0)
    assert found.shape == (N, MAX_DIMENSIONS)
    products = centred @ centred.T
    np.testing.assert_allclose(found @ found.T, products / np.trace(products) * N, atol=1e-4)


def test_what_lies_far_out_is_drawn_in_and_keeps_its_direction() -> None:
    encoder = VectorEncoder.learn("look", pa.array(VECTORS.tolist(), pa.list_(pa.float32(), DIM)))
    assert encoder is not None
    rows = np.stack([VECTORS[0], encoder.mean + 1e30 * (VECTORS[0] - encoder.mean)])
    near, far = encoder.encode(pa.array(rows.tolist(), pa.list_(pa.float32(), DIM)))
    assert np.linalg.norm(far) == pytest.approx(MAX_RADIUS)
    np.testing.assert_allclose(far / np.linalg.norm(far), near / np.linalg.norm(near), atol=1e-4)
