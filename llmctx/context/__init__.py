"""What we knew: a tick names a symbol, a snapshot holds its keys as read, a package is their typed join."""
