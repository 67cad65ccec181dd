"""The Redis schema of the trading system: `keys` names every key, `values` defines its content."""
