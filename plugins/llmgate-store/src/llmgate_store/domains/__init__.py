"""What was decided of the domains that callers may send requests to."""
