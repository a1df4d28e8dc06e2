"""Routing strategies: in which order deployments are tried."""
