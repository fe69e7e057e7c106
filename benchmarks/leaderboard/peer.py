"""Peers: a script of another library, run in its own environment on our split; its lists are judged as ours are."""

import json
import subprocess
import tempfile
from pathlib import Path

from belfry.dataset.prepare import Data
from belfry.dataset.split import save_split
from belfry.evaluation.table_lists import open_lists
from benchmarks.judging import context_of, scores_of
from benchmarks.leaderboard.measure import CUTOFFS, TOP_K, result_of
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
    context = context_of(split, min_history=case.min_history)
    with tempfile.TemporaryDirectory() as folder:
        save_split(split, Path(folder) / "split")
        lists = Path(folder) / "lists.parquet"
        command = [python, FOLDER / peer.script, Path(folder) / "split", lists, "--epochs", str(peer.epochs)]
        done = subprocess.run([*command, "--seed", str(seed)], check=True, stdout=subprocess.PIPE, text=True)
        told = json.loads(done.stdout.splitlines()[-1])
        scores = scores_of(
            open_lists(lists, context, Path(folder), label=peer.name), context, depth=TOP_K, cutoffs=CUTOFFS
        )
    told = {"fit_s": told["fit_s"], "users_per_s": told["users_per_s"]}
    return result_of(scores, case, peer, seed, settings={}, epochs=peer.epochs, **told)
