"""What an exported graph may hold, looked at before ONNX Runtime sees it: arithmetic on tensors that are all inside it.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import math
import re
from collections.abc import Iterator

import numpy as np

from belfry.layers.saved.protobuf import BYTES, fields, varints

# No loops, conditions, functions or sequences, so that a graph ends; no operators of other domains.
OPERATORS = frozenset(
    re.findall(
        r"\w+",
        """
        Abs Add And ArgMax ArgMin Atan AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Cos
        Cosh CumSum Div Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm
        GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid Identity IsInf IsNaN LayerNormalization
        LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mod Mul Neg NonZero Not OneHot Or PRelu
        Pad Pow Range Reciprocal ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
        ReduceSumSquare Relu Reshape ReverseSequence Round ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin
        Sinh Size Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK
        Transpose Trilu Unsqueeze Where Xor
        """,
    )
)
MAX_NODES = 5_000  # the largest of our graphs has some hundred, a recurrent one a few thousand

_MODEL, _GRAPH, _NODE = "model", "graph", "node"
_KNOWN = {  # fields of each message; what else there may be is refused: functions, training, sparse tensors, subgraphs
    _MODEL: {1, 2, 3, 4, 5, 6, 7, 8, 14},
    _GRAPH: {1, 2, 5, 10, 11, 12, 13, 16},
    _NODE: {1, 2, 3, 4, 5, 6, 7, 9},
    "attribute": {1, 2, 3, 4, 5, 7, 8, 9, 13, 20},
    "tensor": {1, 2, 4, 5, 7, 8, 9, 10, 12},
    "input or output": {1, 2, 3},
    "type": {1, 6},
}
# Types of tensors -> NumPy's, as `raw_data` has them. Text is none of them.
_DTYPES = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}


def check_graph(content: bytes) -> None:
    """Refuse an ONNX model that is more than arithmetic, or that reaches out of its own bytes.

    Raises:
        ValueError: says what it holds.
    """
    model = memoryview(content)
    n_graphs = 0
    for number, value in _spans(model, _MODEL):
        if number == 7:
            n_graphs += 1
            _check_graph(value)
    if n_graphs != 1:
        raise ValueError(f"{n_graphs} graphs, wanted one")


def _check_graph(graph: memoryview) -> None:
    n_nodes = 0
    for number, value in _spans(graph, _GRAPH):
        if number == 1:
            n_nodes += 1
            _check_node(value)
        elif number == 5:
            _check_tensor(value)
        elif number in (11, 12):
            for place, described in _spans(value, "input or output"):
                if place == 2 and [found for found, _ in _spans(described, "type")][:1] != [1]:
                    raise ValueError("an input or output that is no tensor")
    if n_nodes > MAX_NODES:
        raise ValueError(f"{n_nodes:,} nodes, at most {MAX_NODES:,} are taken")


def _check_node(node: memoryview) -> None:
    for number, value in _spans(node, _NODE):
        if number == 4 and bytes(value).decode("utf-8", "replace") not in OPERATORS:
            raise ValueError(f"the operator {_word(bytes(value))}, which is not among those that are taken")
        if number == 7 and bytes(value) not in (b"", b"ai.onnx"):
            raise ValueError(f"an operator of another domain, {_word(bytes(value))}")
        if number == 5:
            for place, part in _spans(value, "attribute"):
                if place == 5:
                    _check_tensor(part)


def _check_tensor(tensor: memoryview) -> None:
    """Its values are all there, as many as its shape says, and none is NaN."""
    shape: list[int] = []
    kind, raw, n_typed = 0, None, 0
    for number, wire, value in fields(tensor):
        if number not in _KNOWN["tensor"]:
            raise ValueError("a tensor whose values lie in another file, or in pieces")
        if number == 1:
            shape += varints(value) if isinstance(value, memoryview) else [value]
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 9 and isinstance(value, memoryview):
            raw = value
        elif number in (4, 5, 7, 10):
            n_typed += len(value) if isinstance(value, memoryview) and wire == BYTES else 1
    if kind not in _DTYPES:
        raise ValueError(f"a tensor of type {kind}, wanted numbers")
    count, dtype = math.prod(shape), np.dtype(_DTYPES[kind])
    if count * dtype.itemsize != len(raw) if raw is not None else count > n_typed:
        raise ValueError(f"a tensor of the shape {shape[:8]} with fewer or more values than that")
    if raw is not None and dtype.kind == "f" and np.isnan(np.frombuffer(raw, dtype)).any():
        raise ValueError("a weight that is NaN")


def _spans(message: memoryview, what: str) -> Iterator[tuple[int, memoryview]]:
    """Number and span of the fields that hold messages or bytes; any unknown field is refused."""
    known = _KNOWN[what]
    for number, wire, value in fields(message):
        if number not in known:
            raise ValueError(f"a {what} with the field {number}, which is not among those that are taken")
        if wire == BYTES and isinstance(value, memoryview):
            yield number, value


def _word(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "replace"))
