"""What to do about a server that refuses or does not answer, judging by its own words."""

from redis.exceptions import NoPermissionError

_REMEDIES = {
    "unknown command": "Undo `rename-command` in redis.conf: llmctx needs the server's commands under their names.",
    "BUSY": "Wait until its script ends, or end it: `redis-cli SCRIPT KILL`, `redis-cli FUNCTION KILL`.",
    "loading": "Wait until it has read its files.",
    "max number of clients": "Raise maxclients; `redis-cli CLIENT LIST` says who holds its connections.",
    "protected mode": "Give it users or a password, or run llmctx on its machine: docs/operations/access.md.",
    "Timeout reading": "It takes connections but does not reply: a long command or CLIENT PAUSE holds it up.",
}
"""Words of the server's error -> what to do."""


def remedy(error: Exception, otherwise: str) -> str:
    """What to do about an error of the server, or `otherwise`."""
    if isinstance(error, NoPermissionError):
        return "Give this user the rights of its role: `llmctx acl`."
    return next((remedy for words, remedy in _REMEDIES.items() if words in str(error)), otherwise)
