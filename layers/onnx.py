"""ONNX sessions: exported graphs, run without TensorFlow. The only module that imports ONNX Runtime."""

import os
from pathlib import Path

# Else the import looks up a host, writes a device id into the cache folder and truncates a file in the temporary one.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime


def open_session(graph: Path | bytes) -> onnxruntime.InferenceSession:
    """A session of one thread: the graphs are small, and callers bring threads and processes of their own.

    Args:
        graph: an ONNX file, or its content.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
