"""ONNX graphs: exported networks, run without TensorFlow. The only module that imports ONNX Runtime."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy.typing as npt

from belfry.dataset.concurrency.forks import graphs
from belfry.dataset.errors import ArtifactError, printable
from belfry.layers.saved.files import Array, ReadablePath
from belfry.layers.saved.graph_check import check_graph

# Else the import looks up a host, writes a device id into the cache folder and truncates a file in the temporary one.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

# Memory for the tensors of all graphs, far above what blocks of users take on as many threads as there are cores.
MAX_BYTES = (1 << 30) + (256 << 20) * (os.cpu_count() or 1)
_ONLY_FATAL = 4  # of the library's own messages, which go to stderr: errors are raised too


def _bound_memory() -> None:
    """One allocator for all sessions, which grows by what is asked for and refuses what no graph of ours needs."""
    info = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    limits = onnxruntime.OrtArenaCfg({"max_mem": MAX_BYTES, "arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(info, limits)


_bound_memory()


class Graph:
    """A session of one thread: the graphs are small, and callers bring threads and processes of their own."""

    def __init__(self, path: ReadablePath) -> None:
        """Raises ArtifactError: the file is no graph, or holds more than arithmetic."""
        self._name = str(path)
        content = path.read_bytes()
        try:
            check_graph(content)
        except ValueError as error:
            raise ArtifactError(f"{path}: is no graph that Belfry runs: it holds {error}; train again") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ONLY_FATAL
        options.add_session_config_entry("session.use_env_allocators", "1")
        try:
            with graphs:  # a fork would leave the allocator locked in the child, for ever
                self._session = onnxruntime.InferenceSession(
                    content,
                    options,
                    providers=["CPUExecutionProvider"],
                    enable_fallback=0,  # to the same provider, with words on stdout
                )
        except Exception as error:  # its own exceptions share no other base
            raise ArtifactError(f"{path}: ONNX Runtime cannot read it ({_first_line(error)}); train again") from error
        self.input_shapes: dict[str, list[int | str | None]] = {
            entry.name: entry.shape for entry in self._session.get_inputs()
        }

    def __call__(self, inputs: Mapping[str, npt.ArrayLike]) -> Array:
        """The first output.

        Args:
            inputs: at least those that the graph reads, which are named in `input_shapes`.

        Raises:
            ArtifactError: the graph cannot take them.
        """
        if missing := self.input_shapes.keys() - inputs.keys():
            raise ArtifactError(f"{self._name}: reads inputs that nothing fills ({sorted(missing)[:5]}); train again")
        try:
            with graphs:
                found: Array = self._session.run(None, {name: inputs[name] for name in self.input_shapes})[0]
        except Exception as error:
            raise ArtifactError(f"{self._name}: cannot be run ({_first_line(error)}); train again") from error
        return found


def check_exported(content: bytes, path: Path) -> None:
    """Refuse to write a graph that could not be answered from: an operator that has no ONNX form, or is not taken."""
    check_graph(content)
    path.write_bytes(content)
    Graph(path)


def _first_line(error: Exception) -> str:
    return printable((str(error) or type(error).__name__).splitlines()[0], 300)
