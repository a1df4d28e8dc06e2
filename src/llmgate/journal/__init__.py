"""The local journal of records: written before an answer's last byte leaves, brought to loggers at least once."""

from .commits import Group
from .courier import Courier
from .journal import Journal, JournalError, JournalSettings

__all__ = ["Courier", "Group", "Journal", "JournalError", "JournalSettings"]
