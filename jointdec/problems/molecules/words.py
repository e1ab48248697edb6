"""What people call the molecules' heads and metrics, see `jointdec.reporting.names.words_of`."""

WORDS = {
    "head/nodes": "atoms",
    "head/edges": "pairs",
    "heads' losses": "the cross-entropy",
    "nodes": "atoms' loss",
    "edges": "pairs' loss",
    "node_accuracy": "atoms right",
    "edge_accuracy": "pairs right",
    "exact": "molecules exact",
}
