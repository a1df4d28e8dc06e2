"""The keys that are issued to callers: how they look, where they are kept, and who they let in."""
