"""Every retrieval system on every split under every seed: docs/results/retrieval.md and retrieval-shops.md.

Run as `make benchmark-retrieval`, or `python -m benchmarks.leaderboard [--data-folder DIR] [--split a,b]
[--systems a,b] [--seeds 3] [--results DIR] [--pages DIR] [--peer-python PYTHON] [--write-only]`. What is stored with
the same settings is not measured again, so a run can be stopped and resumed, or done in parts by processes side by
side. The pages that show the asked splits are written anew, from all that is stored.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from belfry.dataset.errors import BelfryError
from belfry.dataset.prepare import Data
from benchmarks.leaderboard.page import page
from benchmarks.leaderboard.results import ROOT, VALIDATION, Chosen, Result, Store, seed_name
from benchmarks.leaderboard.splits import CASES, Case
from benchmarks.leaderboard.systems import ENTRIES, Combination, Entry, Peer, System

PAGES = ROOT / "docs" / "results"
RESULTS = ROOT / "artifacts" / "leaderboard"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-folder", type=Path, help="where ml-100k.zip, ml-1m and shops lie [BELFRY_DATA]")
    parser.add_argument("--split", type=_cases, default=CASES, help="names with commas between; default: all")
    parser.add_argument("--systems", type=_systems, default=ENTRIES, help="names with commas between; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of stored results")
    parser.add_argument(
        "--peer-python", type=Path, help="of the environment that a script in benchmarks/peers asks for; else no peers"
    )
    parser.add_argument("--pages", type=Path, default=PAGES, help="folder to write to")
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the pages of what is stored")
    asked = parser.parse_args(arguments)
    store = Store(asked.results)
    n_failed = 0
    if not asked.write_only:
        for case in asked.split:
            systems = [system for system in asked.systems if case.name in system.splits]
            if asked.peer_python is None:
                systems = [system for system in systems if not isinstance(system, Peer)]
            if systems:
                n_failed += measure_missing(case, systems, store, asked.seeds, asked.data_folder, asked.peer_python)
    for name in sorted({case.page for case in asked.split}):
        (asked.pages / name).write_text(_page_of(name, store, asked.seeds))
        print(f"written to {asked.pages / name}")
    return int(n_failed > 0)


def measure_missing(
    case: Case,
    entries: Sequence[Entry],
    store: Store,
    n_seeds: int,
    data_folder: Path | None = None,
    peer_python: Path | None = None,
) -> int:
    """Measure what is not stored, and give how many entries failed: one that does is reported and the rest goes on."""
    data, n_failed = None, 0
    for entry in entries:
        key = entry.key(case.name)
        missing = [seed for seed in range(n_seeds) if store.result(case.name, entry.name, seed, key) is None]
        if not missing:
            continue
        data = data or case.load(data_folder)
        try:
            measure = _made_ready(entry, case, data, store, peer_python)
            for seed in missing:
                result = measure(seed)
                store.keep_result(result)
                means = "  ".join(f"{name} {estimate.mean:.4f}" for name, estimate in result.metrics.items())
                print(f"{case.name} {entry.name} seed {seed}: {means}  fit {result.fit_s:.1f} s", flush=True)
        except BelfryError as error:
            n_failed += 1
            print(f"{case.name} {entry.name}: {error}", file=sys.stderr, flush=True)
    return n_failed


def _made_ready(
    entry: Entry, case: Case, data: Data, store: Store, peer_python: Path | None
) -> Callable[[int], Result]:
    """What measures a seed, after all choices that are made before a test part is looked at."""
    from benchmarks.leaderboard import combine, measure, peer  # they import TensorFlow, which a page does without

    key = entry.key(case.name)
    chosen = store.chosen(case.name, entry.name, key)
    match entry:
        case Peer():
            assert peer_python is not None
            return partial(peer.measure, entry, case, data, python=peer_python)
        case Combination():
            if chosen is None:
                chosen = combine.choose(entry, case, data, store)
                store.keep_chosen(chosen, case.name, entry.name)
            return partial(combine.measure, entry, chosen, case, data, store)
        case System():
            if chosen is None:
                chosen, lists = measure.choose(entry, case, data)
                store.keep_lists(lists, case.name, entry.name, VALIDATION, key)
                store.keep_chosen(chosen, case.name, entry.name)
            return partial(_measure_system, entry, chosen, case, data, store)


def _measure_system(system: System, chosen: Chosen, case: Case, data: Data, store: Store, seed: int) -> Result:
    from benchmarks.leaderboard import measure

    result, lists = measure.measure(system, chosen, case, data, seed)
    store.keep_lists(lists, case.name, system.name, seed_name(seed), result.key)
    return result


def _page_of(name: str, store: Store, n_seeds: int) -> str:
    found = {
        case: {
            entry.name: store.results(case.name, entry.name, range(n_seeds), entry.key(case.name))
            for entry in ENTRIES
            if case.name in entry.splits
        }
        for case in CASES
        if case.page == name
    }
    return page(found, n_seeds)


def _cases(text: str) -> tuple[Case, ...]:
    by_name = {case.name: case for case in CASES}
    asked = text.split(",")
    if unknown := [name for name in asked if name not in by_name]:
        raise argparse.ArgumentTypeError(f"no split {', '.join(unknown)}; there are {', '.join(by_name)}")
    return tuple(by_name[name] for name in dict.fromkeys(asked))


def _systems(text: str) -> tuple[Entry, ...]:
    by_name = {entry.name: entry for entry in ENTRIES}
    asked = text.split(",")
    if unknown := [name for name in asked if name not in by_name]:
        raise argparse.ArgumentTypeError(f"no system {', '.join(unknown)}; there are {', '.join(by_name)}")
    return tuple(entry for entry in ENTRIES if entry.name in asked)


if __name__ == "__main__":
    sys.exit(main())
