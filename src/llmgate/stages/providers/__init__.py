"""Provider adapters: what speaks to model vendors."""
