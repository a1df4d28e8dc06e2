"""The vault: provider keys in the database, sealed with a key that is not there."""
