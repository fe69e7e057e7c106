"""Training form -> serving form: a TensorFlow function as an ONNX graph, which runs without TensorFlow."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
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
) -> None:
    """Write `function` to `path`; every axis of its named inputs but a feature axis of fixed width may vary.

    Args:
        example: an array per input; the first axis is the batch, a second axis of length 1 may vary too.
        output: name of the one output.
    """
    with quiet_stderr():
        import tf2onnx

        logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    signature = {
        name: tf.TensorSpec(
            [None, *(None if length == 1 else length for length in values.shape[1:])], np.dtype(values.dtype), name=name
        )
        for name, values in example.items()
    }

    def run(*inputs: Tensor) -> dict[str, Tensor]:
        return {output: function(dict(zip(signature, inputs, strict=True)))}

    specs = list(signature.values())
    traced = tf.function(run, input_signature=specs)
    with quiet_stderr():
        model, _ = tf2onnx.convert.from_function(traced, input_signature=specs, opset=OPSET)
    check_exported(model.SerializeToString(), path)
