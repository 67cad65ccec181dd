"""Archiving: old records move from Redis to files, provably, and Redis keeps what it still needs."""
