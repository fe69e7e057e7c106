"""API keys: read out of files that are as they must be, and compared whole."""

import hashlib
from pathlib import Path

import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.server.guards.keys import read_keys

KEY = "0123456789abcdef0123456789"
HASH = hashlib.sha256(KEY.encode()).hexdigest()


def written(folder: Path, text: str | bytes, mode: int = 0o600) -> Path:
    path = folder / "keys"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def test_plain_and_hashed_keys_have_owners(tmp_path: Path):
    keys = read_keys(written(tmp_path, f"# clients\n\nshop {KEY}  # the shop\napp sha256:{'0' * 64}\n"))
    assert keys.owner(KEY.encode()) == "shop"
    assert [keys.owner(wrong) for wrong in (b"", KEY[:-1].encode(), f"{KEY}0".encode(), HASH.encode())] == [None] * 4


def test_hashed_keys_may_be_read_by_anybody_and_plain_ones_not(tmp_path: Path):
    assert read_keys(written(tmp_path, f"shop sha256:{HASH}", 0o644)).owner(KEY.encode()) == "shop"
    with pytest.raises(InputError, match=r"keys: others may read it, and line 1 is a plain key; chmod 600 it"):
        read_keys(written(tmp_path, f"shop {KEY}", 0o640))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no API keys"),
        ("# shop\n", "holds no API keys"),
        ("shop", "line 1: wanted NAME and KEY"),
        (f"shop {KEY} more", "line 1: wanted NAME and KEY"),
        (f"a/b {KEY}", "line 1: wanted NAME and KEY"),
        (f"\nshop {KEY[:19]}", "line 2: wanted a key of at least 20"),
        (f"shop {KEY}é", "line 1: wanted a key of at least 20"),
        (f"shop sha256:{HASH[:-1]}", "line 1: wanted a key of at least 20"),
        (f"shop {KEY}\napp sha256:{HASH}", "line 2: the key of 'shop' once more"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_what_is_no_file_of_keys_is_refused_and_no_key_is_told(tmp_path: Path, text, message: str):
    with pytest.raises(InputError, match=message) as refused:
        read_keys(written(tmp_path, text))
    assert KEY[:19] not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(tmp_path / "none")
