"""A hostile zip is refused before anything of it is read."""

import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.sources.archive import SafeZip


def write_zip(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def test_one_folder_on_top_is_left_out_of_names(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"ml/": b"", "ml/u.data": b"1\t2", "ml/more/x": b"3"})

    with SafeZip(path) as archive:
        assert archive.names == {"u.data", "more/x"}
        with archive.open("u.data") as file:
            assert file.read() == b"1\t2"


def test_files_on_top_keep_their_names(tmp_path: Path) -> None:
    with SafeZip(write_zip(tmp_path / "a.zip", {"u.data": b"1", "more/x": b"2"})) as archive:
        assert archive.names == {"u.data", "more/x"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "C:/x", "a\\x", "..\\x"])
def test_paths_that_lead_outside(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "a.zip", {"u.data": b"1", name: b"evil"})

    with pytest.raises(InputError, match="has a path that leads outside of the archive; nothing was read"):
        SafeZip(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices(tmp_path: Path, kind: int) -> None:
    path = write_zip(tmp_path / "a.zip", {"u.data": b"/etc/passwd"}, mode=kind | 0o777)

    with pytest.raises(InputError, match=r"member 'u\.data' is a link or a device"):
        SafeZip(path)


@pytest.mark.parametrize("second", ["u.data", "U.DATA", "./u.data"])
def test_names_twice(tmp_path: Path, second: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("u.data", b"1")
        archive.writestr(second, b"2")

    with pytest.raises(InputError, match="is there twice"):
        SafeZip(tmp_path / "a.zip")


def test_bombs(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"zeros": bytes(4 * 2**20)})

    with pytest.raises(InputError, match=r"unpacks to 4194304 bytes from .* as an archive bomb does"):
        SafeZip(path)


def test_total_size_is_capped(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": bytes(600), "b": bytes(600)})

    with pytest.raises(InputError, match="would unpack to 1200 bytes, more than 1000"):
        SafeZip(path, max_bytes=1000)


def test_too_many_members(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(map(str, range(10_001)), b""))

    with pytest.raises(InputError, match="has 10001 members"):
        SafeZip(path)


def test_encrypted_members(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"u.data": b"1"})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(raw)

    with pytest.raises(InputError, match="is encrypted"):
        SafeZip(path)


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", b"PK\x03\x04 cut"])
def test_not_a_zip(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(data)

    with pytest.raises(InputError, match=r"cannot be read as a zip archive: .*; fetch it again"):
        SafeZip(path)


def test_a_member_never_gives_more_than_it_declares(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"u.data": bytes(100_000)})
    raw = bytearray(path.read_bytes())
    size = raw.index(b"PK\x01\x02") + 24
    raw[size : size + 4] = (10).to_bytes(4, "little")
    path.write_bytes(raw)

    with SafeZip(path) as archive, archive.open("u.data") as file, pytest.raises(zipfile.BadZipFile, match="CRC"):
        file.read()
