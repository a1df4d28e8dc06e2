"""Records of exchanges in the database: written in batches, added up by the hour, asked for, and let go of in time."""
