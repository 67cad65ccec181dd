"""What we concluded: the answer parsed without guessing, then a verdict from guards that no LLM can override."""
