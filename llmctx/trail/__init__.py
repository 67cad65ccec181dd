"""What we can prove: an append-only log of records, addressed by index, that knows nothing of trading."""
