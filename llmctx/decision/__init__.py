"""What we concluded: the answer parsed without guessing, then the verdict of guardrails that no LLM can talk to."""
