"""What can go wrong, as a tree.

BelfryError
├── InputError            the data, the call or the configuration is wrong: the caller can mend it (exit code 2)
│   ├── TableError        a table breaks its contract
│   ├── UnknownUserError  a user without a number was asked for under strict
│   └── ArtifactError     a run folder is missing, damaged, foreign or of another version
├── DownloadError         a public data set could not be fetched
└── DivergenceError       training produced a number that is not finite
"""


class BelfryError(Exception):
    """Anything Belfry refuses in words."""


class InputError(BelfryError):
    """The data, the call or the configuration is wrong; the message says what to do."""


class TableError(InputError):
    """A table breaks its contract; the message lists every problem found."""


class UnknownUserError(InputError):
    """A user without a number was asked for under `strict`."""


class ArtifactError(InputError):
    """A run folder is missing, damaged, foreign or of another version."""


class DownloadError(BelfryError):
    """A public data set could not be fetched; the message says where to put it by hand."""


class DivergenceError(BelfryError):
    """Training produced a loss or a weight that is not finite."""
