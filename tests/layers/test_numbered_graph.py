"""Graphs that were exported for some numbers answer alike by others."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from belfry.layers.onnx import Graph, check_exported
from belfry.layers.saved.numbered_graph import renumbered

USERS, ITEMS = np.arange(4, dtype=np.float32)[:, None] * 10, np.arange(5, dtype=np.float32)[:, None]


def graph(tmp_path, *, tables: bool) -> bytes:
    """rating = users[user] + items[item], and the sum of a history's rows of a table."""
    named = "uniform_table" if tables else "of_items"
    nodes = [
        helper.make_node("Gather", ["users", "user"], ["u"]),
        helper.make_node("Gather", [named, "history"], ["h"]),
        helper.make_node("ReduceSum", ["h", "axes"], ["s"], keepdims=0),
        helper.make_node("Add", ["u", "s"], ["out"]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [
                helper.make_tensor_value_info("user", TensorProto.INT32, [None]),
                helper.make_tensor_value_info("history", TensorProto.INT32, [None, None]),
            ],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 1])],
            [
                numpy_helper.from_array(USERS, "users"),
                numpy_helper.from_array(ITEMS, named),
                numpy_helper.from_array(np.array([1]), "axes"),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def ask(content: bytes, tmp_path, users: list[int], history: list[list[int]]) -> list[float]:
    check_exported(content, tmp_path / "graph.onnx")
    inputs = {"user": np.array(users, np.int32), "history": np.array(history, np.int32)}
    return Graph(tmp_path / "graph.onnx")(inputs)[:, 0].tolist()


def numbers(*before: int) -> np.ndarray:
    return np.array(before, np.int32)


def test_numbers_lead_to_those_of_training_and_new_ones_to_the_unknown(tmp_path):
    content = graph(tmp_path, tables=False)
    assert ask(content, tmp_path, [1, 3], [[1, 2], [4, 0]]) == [13, 34]
    # Users 1, 2, 3 became 2, 3, 4; items 1 to 4 became 1, 3, 4, 5.
    once = renumbered(content, numbers(0, 1, 0, 2, 3, 4), numbers(0, 0, 1, 2, 3), lambda rows: rows)
    assert ask(once, tmp_path, [2, 4, 1], [[1, 3], [5, 0], [2, 2]]) == [13, 34, 0]
    twice = renumbered(once, numbers(0, 0, 1, 2, 3, 4, 5), numbers(0, 1, 2, 3, 0, 4), lambda rows: rows)
    assert ask(twice, tmp_path, [2, 5, 4], [[2, 4], [6, 0], [1, 3]]) == [13, 34, 0]
    assert len(onnx.load_model_from_string(twice).graph.node) == len(onnx.load_model_from_string(once).graph.node)


def test_tables_of_items_get_a_row_for_each_of_today(tmp_path):
    content = graph(tmp_path, tables=True)
    placed = numbers(0, 1, 0, 2, 3, 4)

    def place(rows: np.ndarray) -> np.ndarray:
        today = rows[placed]
        today[2] = 100  # what features say of the new item
        return today

    once = renumbered(content, placed, numbers(0, 1, 2, 3), place)
    assert ask(once, tmp_path, [1, 3], [[1, 3], [2, 0]]) == [13, 130]
