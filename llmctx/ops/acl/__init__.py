"""Redis users for each program of a trading system, each with the least privilege that it needs."""
