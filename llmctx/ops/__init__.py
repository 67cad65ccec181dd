"""What keeps the system running: the embedded server."""
