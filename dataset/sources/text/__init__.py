"""Tables as text: CSV in its spellings, and JSON lines."""
