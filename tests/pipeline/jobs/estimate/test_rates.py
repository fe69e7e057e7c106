"""Rates of the machine: measured, kept, read again, and left aside where the file is wrong."""

import errno
from pathlib import Path

import pytest

from belfry.dataset.errors import BelfryError, InputError
from belfry.pipeline.jobs.estimate import rates
from belfry.pipeline.jobs.estimate.rates import RATES_FILE, REFERENCE, Rates, keep, known_rates, measure


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BELFRY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_measured_is_found_again(monkeypatch, cache):
    monkeypatch.setattr(rates, "_AT_LEAST_S", 0.02)
    assert known_rates() is None

    found = measure()

    assert keep(found) == cache / RATES_FILE
    assert known_rates() == found
    assert min(found.products_per_s, found.sorted_per_s, found.written_per_s) > 1e5
    assert [*cache.iterdir()] == [cache / RATES_FILE]


def test_a_machine_of_half_the_speed_takes_twice_as_long():
    assert REFERENCE.slowness == 1
    half = Rates(REFERENCE.products_per_s / 2, REFERENCE.sorted_per_s / 2, 1e8, "2026-01-01")
    assert half.slowness == pytest.approx(2)
    assert "2.00 CPU s for one of docs/results/scale.md (measured 2026-01-01)" in half.line()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"products_per_s": 0, "sorted_per_s": 1, "written_per_s": 1, "measured": ""}',
        '{"products_per_s": NaN, "sorted_per_s": 1, "written_per_s": 1, "measured": ""}',
    ],
)
def test_a_file_that_is_wrong_counts_as_none(cache, text):
    cache.mkdir()
    (cache / RATES_FILE).write_text(text)
    assert known_rates() is None


def test_a_cache_that_cannot_be_made_is_named(cache):
    cache.write_text("a file")
    with pytest.raises(InputError, match="let BELFRY_CACHE name a folder"):
        keep(REFERENCE)


def test_a_full_disk_leaves_nothing_behind_and_is_told(cache, tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"No space left on device.*let BELFRY_CACHE name a folder"):
        keep(REFERENCE)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(rates.tempfile, "TemporaryFile", lambda: full(tmp_path / "probe"))
    with pytest.raises(BelfryError, match="the disk is full"):
        rates._written_per_s()
