"""The built-in stages, one folder a kind; each could be a plugin, and registers like one (``builtin``)."""
