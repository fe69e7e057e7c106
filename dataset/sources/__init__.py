"""One reader per raw format: names, raw files and objects of the caller to `Tables`; nothing is checked here."""
