"""Operations: the embedded server, archives, backups, cleanup, checks, metrics, alerts and users."""
