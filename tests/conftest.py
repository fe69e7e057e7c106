"""Gives failed asserts of `tests/contracts` pytest's explanations.

`tests` is a package, so that its parent comes to be on the path and not itself: `tests/dataset` would hide `dataset`.
"""

import pytest

pytest.register_assert_rewrite("tests.contracts.index", "tests.contracts.retriever")
