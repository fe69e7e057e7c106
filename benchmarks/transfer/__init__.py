"""Do plentiful watches help scarce ratings? Watches kept whole, ratings thinned out; written to docs/results."""
