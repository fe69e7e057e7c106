"""Addresses, and words for what goes wrong at them."""

import errno
from pathlib import Path

import pytest

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.sources.web.objects import address_of, connected, place_of, storage_in_words


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("s3://bucket/a.parquet", "s3://bucket/a.parquet"),
        (Path("s3://bucket/a.parquet"), "s3://bucket/a.parquet"),  # of which paths take a slash
        (Path("gs://bucket/a b"), "gs://bucket/a b"),
        ("file:///tmp/a.csv", "file:///tmp/a.csv"),
        (Path("file:///tmp/a.csv"), "file:///tmp/a.csv"),
        ("data/s3.csv", None),
        ("C:/data/a.csv", None),
        ("https://host/a.csv", None),
        ("s3:", None),
    ],
)
def test_what_an_address_is(source, address):
    assert address_of(source) == address


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (Path("s3://bucket/a"), "s3://bucket/a"),
        ("s3://me:secret@bucket/a", "s3://bucket/a"),
        (Path("runs/a@b"), "runs/a@b"),
    ],
)
def test_what_messages_call_it(source, place):
    assert place_of(source) == place


def test_a_password_is_refused_and_not_told():
    pytest.importorskip("fsspec")
    with pytest.raises(InputError, match=r"^s3://bucket/a: its address holds a password; leave it out") as caught:
        connected("s3://me:secret@bucket/a", "read")
    assert "secret" not in str(caught.value)


def test_a_library_of_a_storage_that_is_missing_is_named():
    pytest.importorskip("fsspec")
    with pytest.raises(
        InputError, match=r"gs://bucket/a: cannot be read, ImportError: .*or the library that this names"
    ):
        connected("gs://bucket/a", "read")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (FileNotFoundError("x"), "check bucket and name"),
        (PermissionError("x"), "mend the credentials, or the rights to list there"),
        (OSError(errno.ENOSPC, "No space left"), "free some, or set TMPDIR"),
        (ValueError("x"), "mend the address, the endpoint or the credentials"),
    ],
)
def test_what_goes_wrong_there_is_told_with_what_to_do(error, remedy):
    told = f"^s3://b/a: {type(error).__name__}: .*; {remedy}$"
    with pytest.raises(InputError, match=told), storage_in_words("s3://b/a", "list", "set TMPDIR"):
        raise error


def test_what_is_in_words_already_stays():
    with pytest.raises(TableError, match=r"^in words$"), storage_in_words("s3://b/a", "list", "set TMPDIR"):
        raise TableError("in words")
