"""Training form -> serving form: a TensorFlow function as an ONNX graph, which runs without TensorFlow."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from belfry.layers.backend import Tensor, quiet_stderr, tf
from belfry.layers.onnx import check_exported

OPSET = 17


def export_onnx(
    function: Callable[[Mapping[str, Tensor]], Tensor],
    example: Mapping[str, npt.NDArray[Any]],
    path: Path,
    *,
    output: str,
    tables: Mapping[str, npt.NDArray[np.float32]] = MappingProxyType({}),
) -> None:
    """Write `function` to `path`; every axis of its named inputs but a feature axis of fixed width may vary.

    Args:
        example: an array per input; the first axis is the batch, a second axis of length 1 may vary too.
        output: name of the one output.
        tables: [n_rows, n_columns] constants that `function` reads like inputs. Inside of a function that is converted,
            a table of a million rows would be copied some thirty times.
    """
    with quiet_stderr():
        import tf2onnx
        from onnx import numpy_helper

        logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    signature = {
        name: tf.TensorSpec(
            [None, *(None if length == 1 else length for length in values.shape[1:])], np.dtype(values.dtype), name=name
        )
        for name, values in example.items()
    }
    for name, table in tables.items():
        signature[name] = tf.TensorSpec([None, table.shape[1]], tf.float32, name=name)

    def run(*inputs: Tensor) -> dict[str, Tensor]:
        return {output: function(dict(zip(signature, inputs, strict=True)))}

    specs = list(signature.values())
    traced = tf.function(run, input_signature=specs, autograph=False)
    with quiet_stderr():
        model, _ = tf2onnx.convert.from_function(traced, input_signature=specs, opset=OPSET)
    asked = [entry for entry in model.graph.input if entry.name not in tables]
    del model.graph.input[:]
    model.graph.input.extend(asked)
    model.graph.initializer.extend(numpy_helper.from_array(table, name) for name, table in tables.items())
    content = model.SerializeToString()
    del model  # which holds the tables once more
    check_exported(content, path)
