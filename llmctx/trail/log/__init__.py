"""The log in Redis: its records and their packing, the lease of its owner, the instance it belongs to."""
