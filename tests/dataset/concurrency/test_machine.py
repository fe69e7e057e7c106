import os

import pytest

from belfry.dataset.concurrency import machine
from belfry.dataset.concurrency.machine import available_bytes, usable_cores, workers_to_use
from belfry.dataset.errors import InputError


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Writes what the system tells; at first it tells nothing and has four cores."""
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path)
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 4, 5}, raising=False)

    def tell(name, text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    return tell


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 4), ("200000 100000", 2), ("150000 100000", 2), ("900000 100000", 4), ("1000 100000", 1), ("", 4)],
)
def test_cores_of_a_container(system, quota, cores):
    system("cpu.max", quota)
    assert usable_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 4), ("300000", 3)])
def test_cores_of_an_older_container(system, quota, cores):
    system("cpu/cpu.cfs_quota_us", quota)
    system("cpu/cpu.cfs_period_us", "100000")
    assert usable_cores() == cores


def test_memory(system):
    assert available_bytes() is None
    system("meminfo", "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable:    5000 kB\n")
    assert available_bytes() == 5000 * 1024
    system("memory.max", "max")
    system("memory.current", "70000")
    assert available_bytes() == 5000 * 1024
    system("memory.max", "100000")
    assert available_bytes() == 30000
    system("memory.stat", "anon 50000\ninactive_file 20000\n")
    assert available_bytes() == 50000


def test_workers(system, caplog):
    assert [workers_to_use(wanted) for wanted in (None, 1, 3, 4)] == [4, 1, 3, 4]
    assert not caplog.messages
    assert workers_to_use(16) == 4
    assert caplog.messages == ["workers=16: this process may use 4 of the machine's cores, so 4 will work"]


@pytest.mark.parametrize("wanted", [0, -2, True, 1.5, "2"])
def test_workers_that_are_no_count(wanted):
    with pytest.raises(InputError, match=r"workers=.*: wanted a whole number of at least 1, or none for all cores"):
        workers_to_use(wanted)
