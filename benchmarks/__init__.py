"""What llmctx adds, measured against the bare parts it is made of, as ratios within one run."""
