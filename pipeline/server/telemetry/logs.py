"""The log: a line of JSON for each event on stderr. It holds no keys, and of a request neither query nor body."""

import json
import logging
import sys
from datetime import UTC, datetime

ACCESS = "belfry.access"  # the logger of requests that were answered


class JsonLines(logging.Formatter):
    """Each record on a line; whatever strangers wrote is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json() -> None:
    """Everything of ours, and what uvicorn has to say of faults."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("belfry", logging.INFO), ("uvicorn", logging.ERROR), ("asyncio", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
