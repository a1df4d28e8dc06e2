"""Secret stores: where credentials are kept."""
