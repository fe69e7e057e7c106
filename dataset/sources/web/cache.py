"""Where Belfry keeps what it need not make or fetch again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`BELFRY_CACHE`, or ~/.cache/belfry; it need not be there yet."""
    return Path(os.environ.get("BELFRY_CACHE") or Path.home() / ".cache" / "belfry")
