"""Logged feedback: what was shown, and what came of it."""
