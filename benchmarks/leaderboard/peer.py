"""Peers: a script of another library, run in its own environment on our split; its lists are judged as ours are."""

import json
import subprocess
import tempfile
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from belfry.dataset.prepare import Data
from belfry.dataset.split import save_split, test_users
from belfry.evaluation.external_table import candidates_of_table
from benchmarks.leaderboard.measure import judge
from benchmarks.leaderboard.results import Result
from benchmarks.leaderboard.splits import Case
from benchmarks.leaderboard.systems import Peer

FOLDER = Path(__file__).parent.parent / "peers"


def measure(peer: Peer, case: Case, data: Data, seed: int, python: Path) -> Result:
    """Train on the whole train part for as many epochs as the entry says, list for all judged users, compare.

    Raises:
        TableError: the lists of the script cannot be judged.
        CalledProcessError: the script failed; it has said why.
    """
    split = case.split(data.interactions, seed)
    users = test_users(split, min_history=case.min_history)
    with tempfile.TemporaryDirectory() as folder:
        save_split(split, Path(folder) / "split")
        lists = Path(folder) / "lists.parquet"
        command = [python, FOLDER / peer.script, Path(folder) / "split", lists, "--epochs", str(peer.epochs)]
        done = subprocess.run([*command, "--seed", str(seed)], check=True, stdout=subprocess.PIPE, text=True)
        told = json.loads(done.stdout.splitlines()[-1])
        table = pq.read_table(lists)
    history = split.train
    judged = table.filter(pc.is_in(table["user_id"], history.users.take(users)))
    found = candidates_of_table(judged, history.users, history.items, asked=users, seen=history.seen_items)
    told = {"fit_s": told["fit_s"], "users_per_s": told["users_per_s"]}
    return judge(found, split, case, peer, seed, settings={}, epochs=peer.epochs, **told)
