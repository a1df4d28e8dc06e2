"""Books of domains: what was asked and decided of the domains that callers may send requests to."""
