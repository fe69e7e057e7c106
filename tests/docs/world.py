"""The tables that the pages speak of, small, in one folder with a trained run; and the machine that they run on.

Presets are light there: a first stage by singular values, no ranker. What a page trains is there in a second.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from belfry.dataset.sources.demo import generate

ROOT = Path(__file__).parents[2]
N_USERS, N_ITEMS = 220, 200
LIGHT = 'ranker = "none"\nsources = []\n[retrieval]\nkind = "pure_svd"\nembedding_size = 4\n'
PRELUDE = """import sys, warnings
from pathlib import Path
import belfry.pipeline.config_text as config_text
config_text._PRESETS = Path(LIGHT_PRESETS)
"""


def make_world(folder: Path) -> Path:
    """Files named as the pages name them; users 1 to 220, items 1 to 200."""
    made = generate(n_users=N_USERS, n_items=N_ITEMS, n_watches=5_000)
    users, items = (_renumbered(table, name) for table, name in ((made.users, "user_id"), (made.items, "item_id")))
    events = _renumbered(_renumbered(made.interactions, "user_id", made.users), "item_id", made.items)
    generator = np.random.default_rng(0)
    years = items["release_year"].to_pylist()
    years[8] = 1999  # what rules.md pins fits its conditions
    genres = items["genres"].to_pylist()
    genres[8] = ["Drama"]
    items = items.set_column(items.column_names.index("genres"), "genres", pa.array(genres))
    items = items.append_column("year", pa.array(years))
    items = items.append_column("opens", pa.array([f"{year}-01-01" for year in years]))
    items = items.append_column("closes_s", pa.array([4_000_000_000] * N_ITEMS))
    items = items.append_column("artist", pa.array([f"a{number % 9}" for number in range(N_ITEMS)]))
    times = events["timestamp_s"].to_numpy()
    early, late = (
        events.filter(pa.array(part)) for part in (times < np.quantile(times, 0.9), times >= np.quantile(times, 0.9))
    )
    newcomers = users.slice(0, 5).set_column(0, "user_id", pa.array(range(9_001, 9_006)))
    lists = {name: _lists(early, generator) for name in ("old", "new")}
    parquet = {
        **{
            "watches": early,
            "later": late,
            "all": events,
            "items": items,
            "users": users,
            "train": early,
            "test": late,
        },
        **{"before": early, "fresh": late.slice(0, 20).select(["user_id", "item_id"])},
        **{"newcomers": newcomers, "a": lists["old"], "b": lists["new"], "lists": lists["new"], "new": late},
        "ratings": late.drop_columns(["rating"]).append_column("rating", pa.array([4.0] * len(late))),
    }
    shown = lists["old"].select(["user_id", "item_id"])
    rewards = generator.integers(0, 2, len(shown))
    parquet["shown"] = shown.append_column("reward", pa.array(rewards)).append_column(
        "propensity", pa.array(np.full(len(shown), 1 / N_ITEMS))
    )
    for name, table in parquet.items():
        pq.write_table(table, folder / f"{name}.parquet")
    for name in ("old", "new"):
        (folder / f"{name}-lists").mkdir()
        pq.write_table(lists[name], folder / f"{name}-lists" / "recommendations.parquet")
    texts = {"watches": early, "later": late, "users": users, "items": _without_lists(items), "new": late}
    for name, table in texts.items():
        pcsv.write_csv(table, folder / f"{name}.csv")
    pcsv.write_csv(early, folder / "log.csv", pcsv.WriteOptions(delimiter="^"))
    names = {"user_id": "reviewerID", "item_id": "asin", "timestamp_s": "unixReviewTime"}
    rows = early.rename_columns([names.get(name, name) for name in early.column_names]).to_pylist()
    (folder / "reviews.json.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    (folder / "my-folder").mkdir()
    shutil.copy(folder / "watches.parquet", folder / "my-folder" / "interactions.parquet")
    rules = re.search(r"^```toml\n(.*?)^```$", (ROOT / "docs/rules.md").read_text(), re.MULTILINE | re.DOTALL)
    assert rules
    (folder / "rules.toml").write_text(rules[1])
    train = "belfry train --interactions watches.parquet --items items.parquet --users users.parquet --quiet"
    run_block("sh", train, folder)
    return folder


def _renumbered(table: pa.Table, name: str, of: pa.Table | None = None) -> pa.Table:
    """Ids by their place among those of `of`, from 1 on."""
    ids = (table if of is None else of)[name].to_pylist()
    number = {one: place for place, one in enumerate(ids, 1)}
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array([number[one] for one in table[name].to_pylist()], pa.int64()))


def _without_lists(items: pa.Table) -> pa.Table:
    genres = ["|".join(names or ()) for names in items["genres"].to_pylist()]
    return items.set_column(items.column_names.index("genres"), "genres", pa.array(genres))


def _lists(seen: pa.Table, generator: np.random.Generator) -> pa.Table:
    """Ten unseen items for each user, at random."""
    is_seen = np.zeros((N_USERS + 1, N_ITEMS + 1), bool)
    is_seen[seen["user_id"].to_numpy(), seen["item_id"].to_numpy()] = True
    is_seen[:, ~np.isin(np.arange(N_ITEMS + 1), seen["item_id"].to_numpy())] = True  # nobody has watched them
    order = np.argsort(generator.random(is_seen.shape) + is_seen, axis=1, kind="stable")[1:, :10]
    users = np.repeat(np.arange(1, N_USERS + 1), 10)
    return pa.table({"user_id": users, "item_id": order.ravel(), "rank": np.tile(np.arange(1, 11), N_USERS)})


def run_block(language: str, code: str, folder: Path, *, light: bool = True) -> None:
    """Run a block of a page in a folder; `belfry` is the console script of this repository."""
    tools = folder / ".tools"
    prelude = PRELUDE.replace("LIGHT_PRESETS", repr(str(tools / "presets"))) if light else "import sys\n"
    (tools / "presets").mkdir(parents=True, exist_ok=True)
    for name in ("default", "multitask", "report"):
        (tools / "presets" / f"{name}.toml").write_text(LIGHT)
    script = tools / "belfry"
    script.write_text(f"#!{sys.executable}\n{prelude}from belfry.pipeline.cli.main import main\nmain()\n")
    script.chmod(0o755)
    paths = [str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    environment.pop("BELFRY_ARTIFACTS", None)
    python = [sys.executable, "-W", "error", "-c", f"{prelude}\n{code}"]
    command = ["bash", "-e", "-c", code] if language == "sh" else python
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
