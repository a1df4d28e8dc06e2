"""Loggers: where the record of each exchange goes."""
