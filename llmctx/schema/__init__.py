"""The Redis schema of the trading system: `keys` names every key, `values` says what stands in it."""
