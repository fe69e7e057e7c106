"""Row 31: content with whole hashes that would loop, grow, reach out or run is refused by the name of its file."""

import io
import json
import pickle
import re
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

from belfry.dataset.errors import ArtifactError
from belfry.layers.onnx import MAX_BYTES, Graph
from belfry.layers.saved.files import load_arrays, read_array, read_arrays, save_arrays
from belfry.pipeline.serving.recommender import Recommender
from tests.attacks.resealing import reseal

TOWER = "serving/sources/two_tower/query_tower.onnx"
USER_FEATURES = "user_features/arrays.npz"
NO_FILES = {"in files of their own": np.frombuffer(b"[]", np.uint8)}  # so all arrays are in that one
VECTORS = "serving/sources/two_tower/vectors.npy"
GROWTH_MIB = 200  # of memory, at most, while something is refused


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode()


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def graph(nodes: list[Any], tensors: tuple[Any, ...] = (), domain: str = "") -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    imports = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    made = helper.make_graph(nodes, "g", [x], [y], list(tensors))
    content: bytes = helper.make_model(made, opset_imports=imports, ir_version=8).SerializeToString()
    return content


def endless_loop() -> bytes:
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    inputs = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        helper.make_tensor_value_info("v", TensorProto.FLOAT, [None]),
    ]
    outputs = [
        helper.make_tensor_value_info("d", TensorProto.BOOL, []),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [None]),
    ]
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        inputs,
        outputs,
    )
    return graph([helper.make_node("Loop", ["", "true", "x"], ["y"], body=body)], (true,))


def hidden_loop() -> bytes:
    """An operator that is taken, with a subgraph as an attribute."""
    body = helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "body", [], [])
    node = helper.make_node("Identity", ["x"], ["y"])
    node.attribute.append(helper.make_attribute("body", body))
    return graph([node])


def external(place: str) -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    return graph([helper.make_node("Add", ["x", "w"], ["y"])], (tensor,))


def function() -> bytes:
    model = onnx.load_from_string(graph([helper.make_node("Identity", ["x"], ["y"])]))
    model.functions.append(helper.make_function("", "F", ["a"], ["b"], [], [helper.make_opsetid("", 17)]))
    content: bytes = model.SerializeToString()
    return content


def weight(values: bytes, shape: list[int]) -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=shape, raw_data=values)
    return graph([helper.make_node("Add", ["x", "w"], ["y"])], (tensor,))


GRAPHS: dict[str, tuple[Callable[[], bytes], str]] = {
    "an endless loop": (endless_loop, "the operator 'Loop'"),
    "a subgraph in another operator": (hidden_loop, "an? attribute with the field 6"),
    "values in another file": (lambda: external("/etc/passwd"), "values lie in another file"),
    "a function": (function, "a model with the field 25"),
    "an operator of another domain": (
        lambda: graph([helper.make_node("Abs", ["x"], ["y"], domain="com.microsoft")], domain="com.microsoft"),
        "another domain, 'com.microsoft'",
    ),
    "a shape without values": (lambda: weight(b"", [1 << 20, 1 << 20]), "fewer or more values"),
    "a negative shape": (lambda: weight(b"", [-1, 4]), "fewer or more values"),
    "a weight that is NaN": (lambda: weight(np.full(4, np.nan, "<f4").tobytes(), [4]), "a weight that is NaN"),
    "too many nodes": (
        lambda: graph([helper.make_node("Abs", ["x"], [f"y{n}"]) for n in range(6000)]),
        "6,000 nodes",
    ),
    "no graph": (lambda: b"\x08\x08", "0 graphs"),
    "no message": (lambda: b"\xff" * 100, "is no graph"),
    "cut short": (lambda: weight(bytes(16), [4])[:-9], "is no graph"),
}


@pytest.mark.parametrize(("content", "message"), GRAPHS.values(), ids=GRAPHS)
def test_a_graph_that_is_more_than_arithmetic(content: Callable[[], bytes], message: str, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(content())
    with pytest.raises(ArtifactError, match=rf"x\.onnx: is no graph that Belfry runs.*{message}|is no graph"):
        Graph(tmp_path / "x.onnx")


@pytest.mark.parametrize("name", [b"\x1b[2J", b"\xbc\xbc\xbc\xbc"])
def test_what_a_graph_calls_its_parts_reaches_no_terminal(
    name: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = graph([helper.make_node("MatMul", ["x"], ["y"], name="name")])
    (tmp_path / "x.onnx").write_bytes(wrong.replace(b"name", name))
    with pytest.raises(ArtifactError, match=r"x\.onnx: ONNX Runtime cannot read it") as caught:
        Graph(tmp_path / "x.onnx")
    assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_asks_for_memory(tmp_path: Path) -> None:
    """The shape of what it makes is known only when it runs."""
    side = helper.make_tensor("side", TensorProto.INT64, [2], [1 << 17, 1 << 17])
    nodes = [helper.make_node("ConstantOfShape", ["side"], ["z"]), helper.make_node("Add", ["x", "z"], ["y"])]
    (tmp_path / "x.onnx").write_bytes(graph(nodes, (side,)))
    assert MAX_BYTES < 4 << 34
    with pytest.raises(ArtifactError, match=r"x\.onnx: cannot be run \(.*memory"):
        Graph(tmp_path / "x.onnx")({"x": np.ones(1, np.float32)})


class Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


def test_a_pickle_as_an_array_does_not_run(tmp_path: Path) -> None:
    objects = np.array([Payload(tmp_path / "canary")], object)
    (tmp_path / "x.npy").write_bytes(npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"))
    np.save(tmp_path / "y.npy", objects, allow_pickle=True)
    (tmp_path / "z.npy").write_bytes(pickle.dumps(Payload(tmp_path / "canary")))
    for name in "xyz":
        with pytest.raises(ArtifactError, match=rf"{name}\.npy: (holds object|is no array)"):
            read_array(tmp_path / f"{name}.npy")
        (tmp_path / "x.npz").write_bytes(npz({"a.npy": (tmp_path / f"{name}.npy").read_bytes()}))
        with pytest.raises(ArtifactError, match=r"x\.npz: array 'a'"):
            read_arrays(tmp_path / "x.npz")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "content",
    [
        npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }"),
        npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"),
        npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"),
        npy_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }") + bytes(4),
        npy_header("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }") + bytes(4),
        npy_header("{'descr': '<U0', 'fortran_order': False, 'shape': (1073741824,), }"),
        npy_header("(" * 3000 + ")" * 3000),
        npy_header("__import__('os').abort()"),
        npy(np.zeros(9))[:-1],
        npy(np.zeros(9)) + b"x",
        b"\x93NUMPY\x09\0",
        b"",
    ],
)
def test_arrays_that_are_not_what_they_say(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"x\.npy: "):
        read_array(tmp_path / "x.npy")


@pytest.mark.parametrize(
    "content",
    [
        npz({"a.npy": npy(np.zeros(1 << 20))}, zipfile.ZIP_DEFLATED),
        npz({"a.npy": npy(np.zeros(9)), "a": npy(np.zeros(9))}),
        npz({"a.npy": npy(np.zeros(9))})[:-9],
        npz({"a.npy": npy(np.zeros(9))}),
        npz({"arr_0.npy": npy(np.frombuffer(b'["a", "a"]', np.uint8))}),
        npz({"arr_0.npy": npy(np.frombuffer(b'["a"]', np.uint8))}),
        npz({"arr_0.npy": npy(np.frombuffer(b"[" * 100_000, np.uint8))}),
        npz({"arr_0.npy": npy(np.zeros(9))}),
        b"PK",
    ],
)
def test_files_of_arrays_that_grow_or_are_cut(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"x\.npz: "):
        read_arrays(tmp_path / "x.npz")


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3), (1 << 18, 2)])
def test_honest_arrays_come_back(shape: tuple[int, ...], tmp_path: Path) -> None:
    """And cannot be written to."""
    whole = np.asfortranarray(np.ones(shape, np.int32))
    arrays = {"float": np.ones(shape, np.float32), "whole": whole, "text": np.array(["ä", "b"])}
    save_arrays(tmp_path / "folder", arrays)
    loaded = load_arrays(tmp_path / "folder")
    assert loaded.keys() == arrays.keys()
    for name, values in arrays.items():
        assert loaded[name].dtype == values.dtype
        np.testing.assert_array_equal(loaded[name], values)
        assert not loaded[name].flags.writeable or not values.size


def named(arrays: dict[str, np.ndarray]) -> bytes:
    """A file of arrays as Belfry writes it."""
    names = np.frombuffer(json.dumps(list(arrays)).encode(), np.uint8)
    members = {f"arr_{place}.npy": npy(values) for place, values in enumerate([names, *arrays.values()])}
    return npz(members)


def parquet(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def many_rows() -> bytes:
    """Four million rows of one value in some kilobytes, as 600 million are in four megabytes."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4_000_000, np.int32)), pa.array([1], pa.int32()))
    return parquet(pa.table({"user_id": column.cast(pa.int64())}))


def hostile_events(history: dict[str, np.ndarray]) -> dict[str, bytes]:
    """What -> the events of a run, in which one array is another."""
    seen, starts = history["seen/item_num"], history["seen/starts"]
    changed = {
        "items that there are not": {"item_num": np.full_like(history["item_num"], 10**6)},
        "an unknown user": {"user_num": np.zeros_like(history["user_num"])},
        "events of another type": {"user_num": history["user_num"].astype(np.int64)},
        "events of another shape": {"item_num": history["item_num"][:, np.newaxis]},
        "fewer times": {"timestamp_s": history["timestamp_s"][:-1]},
        "a column of no events": {"colour": history["item_num"]},
        "seen items that there are not": {"seen/item_num": seen + np.int32(1 << 20)},
        "seen items in no order": {"seen/item_num": seen[::-1].copy()},
        "seen items twice": {"seen/item_num": np.ones_like(seen)},
        "seen items of fewer users": {"seen/starts": starts[:-1]},
        "seen items beyond their end": {"seen/starts": starts * 2},
        "seen items before their start": {"seen/starts": np.append(-9, starts[1:])},
        "seen items of nobody": {"seen/starts": np.zeros_like(starts), "seen/item_num": seen[:0]},
        "more seen items than events": {
            "seen/starts": np.append([0, 0], np.arange(1, len(starts) - 1) * 119),
            "seen/item_num": np.tile(np.arange(1, 120, dtype=np.int32), len(starts) - 2),
        },
    }
    return {what: named({**NO_FILES, **history, **arrays}) for what, arrays in changed.items()}


def one_long_title(n_items: int) -> bytes:
    ids = [f"i{number:03}" for number in range(n_items)]
    return parquet(pa.table({"item_id": ids, "title": ["x" * (1 << 20)] * n_items}))


def edited_json(run: Path, name: str, edit: Callable[[dict[str, Any]], object]) -> bytes:
    content = json.loads((run / name).read_text())
    edit(content)
    return json.dumps(content).encode()


def hostile_files(run: Path) -> dict[str, tuple[str, bytes]]:
    """What -> the file, and its content."""
    blend, sources = "serving/ranker/score_blend.json", "serving/sources.json"
    vectors = np.load(run / VECTORS)
    history = load_arrays(run / "history")
    broken = vectors.copy()
    broken[3, 1] = np.nan
    popularity = read_arrays(run / "serving" / "popularity" / "scores.npz")["score"]
    features = "serving/ranker/pair_features/arrays.npz"
    pairs = load_arrays(run / "serving" / "ranker" / "pair_features")
    pairs["neighbours/start"] = pairs["neighbours/start"][1:]
    return {
        "a loop instead of a tower": (TOWER, endless_loop()),
        "a graph of other inputs": (TOWER, graph([helper.make_node("Abs", ["x"], ["y"])])),
        "values in another file": (TOWER, external("../vectors.npy")),
        "vectors that are NaN": (VECTORS, npy(broken)),
        "vectors of another type": (VECTORS, npy(vectors.astype(np.float64))),
        "vectors of fewer items": (VECTORS, npy(vectors[:-1])),
        "vectors of other dimensions": (VECTORS, npy(vectors[:, :-1].copy())),
        "vectors that are text": (VECTORS, npy(np.array(["a"]))),
        "vectors that are a bomb": (VECTORS, npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1<<40,)}")),
        "deep JSON": (sources, b"[" * 100_000),
        "deep JSON in a key": (blend, b'{"names": ' + b"[" * 100_000),
        "large JSON": (blend, b" " * (17 << 20) + b"{}"),
        "settings of another form": (blend, edited_json(run, blend, lambda content: content.pop("names"))),
        "names that are none": (blend, edited_json(run, blend, lambda content: content.update(names=["x"]))),
        "a source that leads outside": (sources, (run / sources).read_bytes().replace(b'"two_tower"', b'"../../x"', 1)),
        "many rows": ("users.parquet", many_rows()),
        "long texts": ("items.parquet", one_long_title(len(vectors) - 1)),
        **{what: ("history/arrays.npz", content) for what, content in hostile_events(history).items()},
        "users in no order": ("users.parquet", parquet(pq.read_table(run / "users.parquet")[::-1])),
        "no table": ("users.parquet", b"PAR1" * 10),
        "features of fewer users": (USER_FEATURES, named({**NO_FILES, "numeric/age": np.zeros(2, np.float32)})),
        "features that are packed": (USER_FEATURES, npz({"a.npy": npy(np.zeros(9))}, zipfile.ZIP_DEFLATED)),
        "scores of other items": ("serving/popularity/scores.npz", named({"score": popularity[:3]})),
        "scores that are NaN": (
            "serving/popularity/scores.npz",
            named({"score": np.full_like(popularity, np.nan)}),
        ),
        "scores of another name": ("serving/popularity/scores.npz", named({"x": popularity})),
        "neighbours of no items": (features, named({**NO_FILES, **pairs})),
    }


@pytest.fixture(scope="module")
def hostile(tiny_run: Path) -> dict[str, tuple[str, bytes]]:
    return hostile_files(tiny_run)


NAMES = """
    a loop instead of a tower | a graph of other inputs | values in another file | vectors that are NaN
    vectors of another type | vectors of fewer items | vectors of other dimensions | vectors that are text
    vectors that are a bomb | deep JSON | deep JSON in a key | large JSON | settings of another form
    names that are none | a source that leads outside | many rows | long texts | items that there are not
    an unknown user | events of another type | events of another shape | fewer times | a column of no events
    seen items that there are not | seen items in no order | seen items twice | seen items of fewer users
    seen items beyond their end | seen items before their start | seen items of nobody
    more seen items than events | users in no order | no table | features of fewer users | features that are packed
    scores of other items | scores that are NaN | scores of another name | neighbours of no items
"""


@pytest.mark.parametrize("what", [name.strip() for line in NAMES.strip().splitlines() for name in line.split("|")])
def test_a_run_of_hostile_content(
    what: str, hostile: dict[str, tuple[str, bytes]], tiny_run: Path, tmp_path: Path
) -> None:
    name, content = hostile[what]
    run = reseal(tiny_run, tmp_path, **{name: content})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArtifactError, match=f"{re.escape(Path(name).name)}|{Path(name).parent}|^run default-"):
        Recommender.load(run)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10 < GROWTH_MIB


def test_all_hostile_content_is_tried(hostile: dict[str, tuple[str, bytes]]) -> None:
    assert set(hostile) == {name.strip() for line in NAMES.strip().splitlines() for name in line.split("|")}


def test_a_resealed_run_of_its_own_content_opens(tiny_run: Path, tmp_path: Path) -> None:
    """So that it is the content that is refused; tables that others have packed are fine."""
    packed = {name: parquet(pq.read_table(tiny_run / name)) for name in ("items.parquet", "users.parquet")}
    run = reseal(tiny_run, tmp_path, **packed)
    expected, found = Recommender.load(tiny_run), Recommender.load(run)
    user = expected.users.ids[0].as_py()
    assert found.recommend(user, 5) == expected.recommend(user, 5)
