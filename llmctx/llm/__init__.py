"""What it answered: one call to an OpenAI-compatible endpoint, and everything about it worth keeping."""
