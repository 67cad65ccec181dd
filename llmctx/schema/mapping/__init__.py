"""Mappings: how the keys and fields of an existing system become the sections of a package.

rule (what llmctx.toml says of one section) → own (the model of a section of one's own) → document (a key's bytes as the
schema's document) → written (values as people write them) → sections (all rules: a blob that records name).
"""
