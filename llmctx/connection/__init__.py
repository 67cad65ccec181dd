"""Connections to Redis or Valkey: every client is made here."""

from llmctx.connection.client import RedisClient, check, connect, database_of, open_redis, primary_url, server_ms

__all__ = ["RedisClient", "check", "connect", "database_of", "open_redis", "primary_url", "server_ms"]
