"""Whether what the decoder says is the right molecule, and whether it is a molecule at all."""
