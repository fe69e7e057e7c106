"""How good lists are: per-user metrics, intervals over users, reports. Knows only `dataset`."""
