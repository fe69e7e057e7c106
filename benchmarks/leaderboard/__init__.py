"""The leaderboard of retrieval systems: `python -m benchmarks.leaderboard`, see `__main__.py`."""
