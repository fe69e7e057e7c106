"""How time and memory grow: generated watches of several sizes, trained, listed and asked; and an index of a million.

Run as `make benchmark-scale`, or `python -m benchmarks.scale [--sizes 100000,1000000,10000000] [--index-items 1000000]
[--table-users 20000] [--results DIR] [--write-only]`. Sizes above 10 million are for who has an hour. Writes
docs/results/scale.md.
"""

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.scale.measure import Measured, measure
from benchmarks.scale.page import page
from benchmarks.speed.process import ROOT, run

RESULT = ROOT / "docs" / "results" / "scale.md"
DEFAULT_SIZES = "100000,1000000,10000000"


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=DEFAULT_SIZES, help="watches, parted by commas; empty for none")
    parser.add_argument("--index-items", type=int, default=1_000_000, help="0 leaves the index out")
    parser.add_argument("--table-users", type=int, default=20_000, help="users of the table, at most")
    parser.add_argument("--results", type=Path, help="folder that keeps what was measured [a temporary one]")
    parser.add_argument("--write-only", action="store_true", help="write the page from --results")
    asked = parser.parse_args(arguments)
    told = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in vars(asked).items()
        if value != parser.get_default(name)
    ]
    told = [option for option in told if not option.startswith(("--results", "--write-only"))]
    command = shlex.join(["python", "-m", "benchmarks.scale", *told]) if told else "make benchmark-scale"
    with tempfile.TemporaryDirectory() as temporary:
        results = asked.results or Path(temporary)
        results.mkdir(parents=True, exist_ok=True)
        if not asked.write_only:
            if asked.index_items:
                found = run(["-m", "benchmarks.scale.child", "index", str(asked.index_items)]).told
                _keep(results / "index.json", {"n_items": asked.index_items, **found})
            for n_watches in sorted(map(int, filter(None, asked.sizes.split(",")))):
                _keep(results / f"{n_watches}.json", asdict(measure(n_watches, Path(temporary), asked.table_users)))
        sized = sorted((path for path in results.glob("[0-9]*.json")), key=lambda path: int(path.stem))
        index = results / "index.json"
        RESULT.write_text(
            page(
                [Measured(**json.loads(path.read_text())) for path in sized],
                json.loads(index.read_text()) if index.exists() else None,
                command=command,
            )
        )
    print(f"written to {RESULT}")


def _keep(path: Path, found: object) -> None:
    path.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
