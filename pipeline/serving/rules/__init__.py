"""Rules that shape lists: what may be in them, and in what order; the same in Python, in batch and over HTTP."""
