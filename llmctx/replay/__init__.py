"""What we would decide again: recorded decisions, rebuilt from their evidence alone."""
