"""State stores: counters, rates, leases, values, messages."""
