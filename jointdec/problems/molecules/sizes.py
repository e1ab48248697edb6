"""The sizes of a molecule: at most 9 heavy atoms of 5 classes, 4 classes of bonds, 135 features."""

NODES = 9
NODE_CLASSES = 5
EDGE_CLASSES = 4
FEATURES = 135

RANKS = {"nodes": 3, "edges": 4}  # of labels as distributions
CLASSES = {"nodes": NODE_CLASSES, "edges": EDGE_CLASSES}
METRICS = ("val/exact", "val/node_accuracy", "val/edge_accuracy", "val/nodes", "val/edges")  # the last epoch's
