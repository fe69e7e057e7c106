"""The one file that chooses the Keras version and imports TensorFlow; others import both from here.

TensorFlow Recommenders needs Keras 2, which TensorFlow 2.16 and later only bring as `tf_keras`, and only where
`TF_USE_LEGACY_KERAS=1` was set before TensorFlow's first import.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from belfry.dataset.errors import InputError


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send the process's stderr nowhere: TensorFlow's C++ side greets there before any log level is heeded."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _import_quietly() -> tuple[Any, Any, Any]:
    """TensorFlow, its Keras 2 and TensorFlow Recommenders, without the banners they print on import."""
    if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        raise InputError(
            "TensorFlow was imported before Belfry, with Keras 3; set TF_USE_LEGACY_KERAS=1 in the environment, or "
            "import Belfry first"
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # C++ side: errors only
    # Steps are short: a second thread of an operation costs more than it saves, and adds up sums in another order.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN reorders sums: equal seeds must give equal weights
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own imports warn of NumPy and protobuf internals
        import tensorflow
        import tensorflow_recommenders
        import tf_keras

    tensorflow.get_logger().setLevel(logging.ERROR)
    return tensorflow, tf_keras, tensorflow_recommenders


tf, keras, tfrs = _import_quietly()

Tensor: TypeAlias = Any  # TensorFlow ships no types; shapes and dtypes stand in the docstrings
