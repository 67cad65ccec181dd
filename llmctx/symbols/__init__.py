"""What is known about each symbol besides its live keys: what its partition's owner remembers, and which are held."""
