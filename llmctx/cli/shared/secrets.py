"""Secrets that must never be shown: all those in the settings and the environment."""

import os
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from llmctx.connection.address import secrets_in
from llmctx.settings import Settings

_VARIABLES = ("OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
"""Variables with NAME=VALUE,NAME=VALUE, whose values are secret."""


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Every secret in the settings and the environment, as written and decoded."""
    return tuple({form for secret in _given(settings) if secret for form in (secret, unquote(secret))})


def _given(settings: Settings) -> Iterator[str | None]:
    alerts = settings.alerts
    yield from secrets_in(settings.redis_url)
    yield from secrets_in(settings.archive or "")
    for each in (settings.llm, *settings.llm.endpoints):
        yield None if each.api_key is None else each.api_key.get_secret_value()
        yield None if each.key_env is None else os.environ.get(each.key_env)
        yield from secrets_in(each.base_url or "")
        yield _parts(each.base_url)[1]
    yield from secrets_in(settings.otel.endpoint or "")
    yield from _parts(settings.otel.endpoint)
    for secret in (alerts.webhook, alerts.token):
        yield None if secret is None else secret.get_secret_value()
    yield alerts.command
    for name in _VARIABLES:
        yield os.environ.get(name)
    for name in _HEADERS:
        yield from (pair.partition("=")[2] for pair in os.environ.get(name, "").split(","))


def _parts(url: str | None) -> tuple[str, str]:
    """Path and query of an address, either of which may be a token; empty for a malformed one."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return "", ""
    return parts.path.rstrip("/"), parts.query
