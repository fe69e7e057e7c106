"""Sessions: how exported graphs are run. No TensorFlow."""

from pathlib import Path

import onnxruntime


def open_session(graph: Path) -> onnxruntime.InferenceSession:
    """A session of one thread: the graphs are small, and callers bring threads and processes of their own."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
