"""jointdec: train, compare and explain formulations of one loss over several outputs."""
