"""Interceptors: what watches, changes, answers or refuses requests."""
