"""What is known of each symbol beside its live keys: what the owner of its partition remembers, and which are held."""
