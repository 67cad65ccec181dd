"""The service: owns a partition, reads its ticks, settles each exactly once, publishes in order."""
