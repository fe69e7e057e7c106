"""What a run's manifest says of the gate: whether its ranker may order the lists, and why."""

from belfry.pipeline.runs.manifest import Manifest


def gate_is_open(manifest: Manifest) -> bool:
    gate = manifest.notes.get("gate")
    return isinstance(gate, dict) and gate.get("is_open") is True


def gate_line(manifest: Manifest) -> str:
    """One line for people: who orders the lists, and both figures where a ranker was judged."""
    gate = manifest.notes.get("gate")
    assert isinstance(gate, dict)  # every run is published with one
    who = "gate open: the ranker orders the lists" if gate["is_open"] else "gate closed: retrieval's order stands"
    if gate["ranker_ndcg"] is None:
        return f"{who}; {gate['reason']}"
    return (
        f"{who}; on {gate['n_lists']:,} lists of validation users NDCG@10 is {gate['ranker_ndcg']:.4f} by the ranker, "
        f"{gate['retrieval_ndcg']:.4f} in retrieval's order"
    )
