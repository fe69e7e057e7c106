"""What this machine gives the process: cores and memory, after the limits of containers."""

import logging
import os
from pathlib import Path

from belfry.dataset.errors import InputError

_CGROUPS = Path("/sys/fs/cgroup")
_MEMORY = Path("/proc/meminfo")
_MEMORY_OF_CGROUPS = (  # of version 2 and of version 1: the limit, what is used of it, what of that are files
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)

log = logging.getLogger(__name__)


def usable_cores() -> int:
    """Cores that this process may use, at least one: its affinity, and the share that its container is given."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _words(_CGROUPS / "cpu.max")  # version 2: "max 100000" or "150000 100000"
    if len(quota) != 2:
        quota = [*_words(_CGROUPS / "cpu/cpu.cfs_quota_us"), *_words(_CGROUPS / "cpu/cpu.cfs_period_us")]
    if len(quota) == 2 and quota[0].isdecimal() and int(quota[1]):
        cores = min(cores, -(-int(quota[0]) // int(quota[1])))
    return max(1, cores)


def available_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not tell."""
    found = []
    words = _words(_MEMORY)
    if "MemAvailable:" in words:
        found.append(int(words[words.index("MemAvailable:") + 1]) * 1024)
    for limit, used, stat in _MEMORY_OF_CGROUPS:
        sizes = [*_words(_CGROUPS / limit), *_words(_CGROUPS / used)]
        if len(sizes) == 2 and all(size.isdecimal() for size in sizes):
            stats = _words(_CGROUPS / stat)
            reclaimable = int(stats[stats.index("inactive_file") + 1]) if "inactive_file" in stats else 0
            found.append(max(0, int(sizes[0]) - int(sizes[1]) + reclaimable))
    return min(found, default=None)


def workers_to_use(wanted: int | None) -> int:
    """How many processes are to work: what is wanted, and no more than there are cores; None wants all.

    Raises:
        InputError: `wanted` is no count.
    """
    cores = usable_cores()
    if wanted is None:
        return cores
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise InputError(f"workers={wanted!r}: wanted a whole number of at least 1, or none for all cores")
    if wanted > cores:
        log.warning("workers=%d: this process may use %d of the machine's cores, so %d will work", wanted, cores, cores)
    return min(wanted, cores)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []
