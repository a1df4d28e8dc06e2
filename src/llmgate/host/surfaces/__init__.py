"""What clients see: one file per public surface."""
