"""Exported graphs that know items and users by numbers, told which numbers these have now; their weights stay."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from belfry.dataset.vocabulary import Numbers

# Inputs of exported graphs that hold numbers of items, and of users.
_ITEM_INPUTS, _USER_INPUTS = ("history", "window", "item"), ("user",)
_ITEM_TABLES = frozenset({"uniform_table", "recency_table"})  # constants with a row for each item, read by `history`
_NUMBERS, _INSIDE = "numbers_of_", "_inside"  # of what is added for an input

Table: TypeAlias = npt.NDArray[np.float32]


def renumbered(content: bytes, items: Numbers, users: Numbers, place: Callable[[Table], Table]) -> bytes:
    """The graph in `content`, to be asked by today's numbers.

    Tables of items get a row for each of today's. Where a graph holds none, a table stands in front of each input of
    numbers, which leads from today's number to the one that the weights know, 0 for whom they do not know.

    Args:
        items: [n_items + 1] the number that each item had in the graph so far, 0 where it is new.
        users: [n_users + 1] likewise.
        place: from the rows of items so far to those of today.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(content)
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    asked = {entry.name for entry in graph.input}
    before = dict.fromkeys(_ITEM_INPUTS, items) | dict.fromkeys(_USER_INPUTS, users)
    for name in sorted(_ITEM_TABLES & tensors.keys()):
        tensors[name].CopyFrom(numpy_helper.from_array(place(numpy_helper.to_array(tensors[name])), name))
        before.pop("history", None)
    for name in sorted(asked & before.keys()):
        own, inside = f"{_NUMBERS}{name}", f"{name}{_INSIDE}"
        if own in tensors:
            so_far = numpy_helper.to_array(tensors[own])
            tensors[own].CopyFrom(numpy_helper.from_array(so_far[before[name]], own))
            continue
        for node in graph.node:
            for number, read in enumerate(node.input):
                if read == name:
                    node.input[number] = inside
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(before[name], np.int32), own))
        graph.node.insert(0, onnx.helper.make_node("Gather", [own, name], [inside]))
    return bytes(model.SerializeToString())
