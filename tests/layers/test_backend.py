"""How TensorFlow is brought up; each in a process of its own, for an import cannot be taken back."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_tensorflow_imported_first_with_keras_3_is_refused_with_a_remedy() -> None:
    done = run("import tensorflow\nimport belfry.layers.backend")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last == (
        "belfry.dataset.errors.InputError: TensorFlow was imported before Belfry, with Keras 3; "
        "set TF_USE_LEGACY_KERAS=1 in the environment, or import Belfry first"
    )


def test_tensorflow_imported_first_with_keras_2_is_welcome_and_its_log_level_stands() -> None:
    done = run(
        "import os\nimport tensorflow\nfrom belfry.layers.backend import keras\n"
        "print(keras.__name__, os.environ['TF_CPP_MIN_LOG_LEVEL'])",
        TF_USE_LEGACY_KERAS="1",
        TF_CPP_MIN_LOG_LEVEL="2",
    )
    assert (done.returncode, done.stdout.split()) == (0, ["tf_keras", "2"]), done.stderr


def test_keras_2_comes_up_quietly_and_the_environment_says_so() -> None:
    done = run(
        "import os\n"
        "from belfry.layers.backend import keras, tf\n"
        "import tensorflow_recommenders\n"
        "assert tf.keras.layers.Dense is keras.layers.Dense\n"
        "assert tf.reduce_sum(tf.ones([2, 3])) == 6\n"
        "print(keras.__version__.split('.')[0], os.environ['TF_USE_LEGACY_KERAS'], os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    )
    assert (done.returncode, done.stdout.split()) == (0, ["2", "1", "3"]), done.stderr
    assert done.stderr == ""
