"""Data in: recorded, simulated or live bars become live keys, positions and ticks."""
