"""What the operator wrote: read with positions, completed from the environment, checked, and turned into values."""
