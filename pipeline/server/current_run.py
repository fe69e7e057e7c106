"""CurrentRun: the run that answers, replaced while requests are answered when another one is published."""

import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from belfry.dataset.errors import BelfryError, cause_of
from belfry.pipeline.runs.reader import named_run
from belfry.pipeline.runs.remote.store import address_of_runs
from belfry.pipeline.serving.current import LOOK_AT_ADDRESS_S
from belfry.pipeline.serving.recommender import Recommender

LOOK_S = 1.0  # between two looks at which run is current, about: workers are not to load at the same moment
RETRY_S = 30.0  # before a run that could not be opened is tried again: somebody may still be copying it
PRIORITY = 10  # of the thread that loads: as `nice` counts, 0 is that of answers and 19 the lowest

log = logging.getLogger(__name__)
OnSwap = Callable[[bool], None]  # whether a new run was taken up, or refused


class CurrentRun:
    """Loads in a thread of its own. Whoever answers takes `recommender` once and keeps to it.

    The old run is freed when the last answer from it is done. A new one that is damaged is told in the log, and the old
    one stays.
    """

    def __init__(
        self, artifacts: Path, on_swap: OnSwap = lambda is_taken: None, require_signature: Path | None = None
    ) -> None:
        self.artifacts = artifacts
        self.require_signature = require_signature
        self.recommender: Recommender | None = None
        self.is_refused = False
        self._on_swap = on_swap
        self._tried: Path | None = None
        self._retry_at_s = 0.0
        self._told = ""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="belfry-current-run", daemon=True)

    def start(self) -> None:
        """Load the run, then go on looking."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()

    def look(self) -> None:
        """Take up the current run where it is another one than that which answers."""
        try:
            folder = named_run(self.artifacts)
            if self.recommender is not None and self.recommender.run.folder == folder:
                self.is_refused, self._told = False, ""
                return
            if self.is_refused and self._tried == folder and time.monotonic() < self._retry_at_s:
                return
            self._tried = folder
            recommender = Recommender.load(self.artifacts, require_signature=self.require_signature)
            _answer_first(recommender)
        except BelfryError as error:
            self._refuse(str(error))
        except Exception as error:
            self._refuse(cause_of(error))
        else:
            self.recommender, self.is_refused, self._told = recommender, False, ""
            log.info("run %s answers", recommender.run.name)
            self._on_swap(True)

    def _refuse(self, why: str) -> None:
        self._retry_at_s = time.monotonic() + RETRY_S
        self.is_refused = True
        if why == self._told:
            return
        self._told = why
        kept = "none answers" if self.recommender is None else f"run {self.recommender.run.name} goes on answering"
        log.error("the current run cannot be opened, %s: %s", kept, why)
        self._on_swap(False)

    def _watch(self) -> None:
        _give_way()
        look_s = LOOK_AT_ADDRESS_S if address_of_runs(self.artifacts) else LOOK_S
        while not self._is_over.wait(look_s * random.uniform(0.75, 1.25)):
            self.look()


def _give_way() -> None:
    """Have this thread get what of the processor answers leave over, so that they wait little for a run to load."""
    if sys.platform == "linux":  # elsewhere priorities are those of processes
        wanted = max(PRIORITY, os.getpriority(os.PRIO_PROCESS, 0))  # nobody may go up
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), wanted)


def _answer_first(recommender: Recommender) -> None:
    """What is worked out at the first answers is there before anybody waits for it."""
    users = recommender.users.ids[:2].to_pylist()
    recommender.recommend(users[0], explain=True)
    recommender.recommend_many(users, workers=1)
    recommender.similar_items(recommender.items.ids[0].as_py(), 1)
