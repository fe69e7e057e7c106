"""`belfry serve` under load, under swaps of runs and under attack, each from another process."""
