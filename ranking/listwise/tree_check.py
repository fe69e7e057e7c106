"""What the text of gradient-boosted trees may hold: LightGBM follows it without a look, and might not come back."""

import numpy as np


def check_trees(text: str) -> None:
    """Refuse trees that are not as training grows them: each branch leads on to a later one or to a leaf of its own.

    Raises:
        ValueError: says what they hold.
    """
    if "\0" in text:
        raise ValueError("a zero byte")
    head, *trees = text.partition("\nend of trees")[0].split("\nTree=")
    n_features = int(_values(head).get("max_feature_idx", "-1")) + 1
    if n_features < 1 or not trees:
        raise ValueError("no features or no trees")
    for tree in trees:
        _check_tree(_values(tree), n_features)


def _check_tree(values: dict[str, str], n_features: int) -> None:
    n_leaves = int(values.get("num_leaves", "0"))
    if n_leaves < 1 or values.get("num_cat", "0") != "0" or values.get("is_linear", "0") != "0":
        raise ValueError("a tree without leaves, of categories or of linear models")
    if len(_numbers(values, "leaf_value", float)) != n_leaves:
        raise ValueError("a tree with another count of leaves than it says")
    if n_leaves == 1:
        return
    place = np.arange(n_leaves - 1)
    children = np.stack([_numbers(values, side, int) for side in ("left_child", "right_child")])
    feature = _numbers(values, "split_feature", int)
    rest = [_numbers(values, name, float) for name in ("threshold", "decision_type")]
    if any(column.shape[-1] != len(place) for column in (children, feature, *rest)):
        raise ValueError("a tree with another count of branches than of leaves less one")
    if ((children <= place) & (children >= 0)).any() or (children > place[-1]).any() or (children < -n_leaves).any():
        raise ValueError("a branch that leads back, or to no leaf")
    if (feature < 0).any() or (feature >= n_features).any():
        raise ValueError("a branch on a feature that there is not")


def _numbers(values: dict[str, str], name: str, kind: type) -> np.ndarray:
    return np.array(values.get(name, "").split(), np.float64).astype(kind)


def _values(part: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in part.splitlines() if "=" in line)
