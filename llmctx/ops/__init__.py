"""Operations: the embedded server, and the state of the live keys."""
