"""The proof: Merkle tree, signed checkpoints, receipts, and the rules by which a trail is verified."""
