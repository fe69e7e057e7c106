"""A process that answers for another one: `python -m belfry.pipeline.serving.worker_process`, started by `workers`.

Its input brings lines of JSON: a `Job`, then the ids of one block of users after another. Its output takes a byte when
the run is open, then an Arrow stream for each block. It writes to no disk. It ends with its input, also in the middle
of a block, so that it never outlives whoever started it, however that one ends.
"""

import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it says when to end
    with suppress(OSError):  # where memory runs out, the system takes this process rather than one that can go on alone
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)  # what libraries print must not come between the answers
        try:
            _answer(lines, output)
        except Exception as error:
            text = " ".join(str(error).split())
            os.write(2, f"worker process {os.getpid()}: {type(error).__name__}: {text}\n".encode())
            os._exit(1)


def _read(lines: "SimpleQueue[bytes]") -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)


def _answer(lines: "SimpleQueue[bytes]", output: IO[bytes]) -> None:
    import pyarrow as pa
    from threadpoolctl import threadpool_limits

    from belfry.pipeline.serving.recommender import Recommender
    from belfry.pipeline.serving.workers import READY

    job = json.loads(lines.get())
    recommender = Recommender.load(job["run"])
    if recommender.run.name != job["name"]:
        raise RuntimeError(f"{job['run']} holds run {recommender.run.name} by now, and no longer {job['name']}")
    output.write(READY)
    output.flush()
    with threadpool_limits(1, "blas"):
        while True:
            table = recommender.recommend_many(json.loads(lines.get()), **job["options"], workers=1)
            with pa.ipc.new_stream(output, table.schema) as stream:
                stream.write_table(table)
            output.flush()


if __name__ == "__main__":
    main()
