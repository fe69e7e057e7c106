"""Readers of layouts that sets of data are published in."""
