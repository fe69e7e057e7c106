"""Files of arrays."""

from pathlib import Path

import numpy as np

from belfry.layers.saved.files import load_arrays, save_arrays


def test_arrays_of_any_name_come_back(tmp_path: Path) -> None:
    arrays = {
        name: np.arange(place) for place, name in enumerate(["a", "a.npy", "a/b", "", "\x00", "file", "x" * 99_999])
    }
    arrays["\x00\x00"] = np.arange(1 << 18)  # in a file of its own
    save_arrays(tmp_path / "all", arrays)
    back = load_arrays(tmp_path / "all")
    assert back.keys() == arrays.keys()
    assert all((back[name] == values).all() for name, values in arrays.items())
