"""The control plane itself: one process that tells many gateways the keys of a book."""
