"""Keras parts that towers and rankers share, and the way from their training form to their serving form."""
