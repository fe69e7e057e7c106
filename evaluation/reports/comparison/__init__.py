"""Offline A/B: is one system's list better than another's, for whom, by how much, how sure is that. Knows `dataset`."""
