"""From settings to endpoints: one, or several in order."""

from functools import cache

from redis.asyncio import Redis

from llmctx import canonical
from llmctx.cli.shared.output import messages
from llmctx.decision.parse import judge
from llmctx.errors import EndpointError
from llmctx.llm.address import NO_KEY, check_endpoint, resolve, without_secrets
from llmctx.llm.breaker import Breaker
from llmctx.llm.client import EndpointClient, NoEndpoint
from llmctx.llm.completion import ClosingCompleter, Completer
from llmctx.llm.endpoint_settings import LLMSettings
from llmctx.llm.fallback import Endpoint, EndpointChain, Hedge, Latencies
from llmctx.llm.profile import Profile, profile_of
from llmctx.llm.rate_limit import RateLimit
from llmctx.schema.keys import rate_limit
from llmctx.settings import Settings

_ATTEMPTS_BEFORE_NEXT = 2
"""How often an endpoint with a fallback behind it is asked, by default."""


def completer_of(settings: Settings) -> ClosingCompleter:
    """The completer of a service: the endpoint's client, or several endpoints in order; a NoEndpoint if none is
    configured.

    Raises EndpointError if an endpoint cannot be used, or has no model.
    """
    llm = settings.llm
    if not llm.endpoints:
        return client_of(settings)
    *others, (last, last_settings) = settings.each_endpoint.items()
    clients = [client_of(each, _ATTEMPTS_BEFORE_NEXT, name) for name, each in others]
    clients.append(client_of(last_settings, name=last))
    for name, client in zip(settings.each_endpoint, clients, strict=True):
        if isinstance(client, NoEndpoint):
            raise EndpointError(f"The endpoint {name} has no base_url and no key.", "Give it a base_url.", exit_code=2)
    endpoints = [
        Endpoint(each.name, client, Breaker(each.breaker_failures, each.breaker_open_s), Latencies(), each.timeout_s)
        for each, client in zip(llm.endpoints, clients, strict=True)
    ]
    hedge = (
        None if llm.hedge_percentile is None else Hedge(llm.hedge_percentile, lambda made: judge(made)[0] is not None)
    )
    return EndpointChain(endpoints, timeout_s=llm.timeout_s, hedge=hedge)


def client_of(
    settings: Settings, max_attempts: int | None = None, name: str = "endpoint"
) -> EndpointClient | NoEndpoint:
    """The client of the endpoint, or of the first of several; a NoEndpoint if none is configured.

    `max_attempts` applies unless the settings say otherwise; `name` is that of the endpoint. Raises EndpointError if an
    endpoint is configured but no model.
    """
    llm = settings.llm.one()
    settings = settings.model_copy(update={"llm": llm})
    if llm.base_url is None and settings.api_key is None:
        return NoEndpoint()
    if llm.model is None:
        raise EndpointError(
            "An LLM endpoint is configured, but no model.", "Name one with --model or LLMCTX_LLM__MODEL.", exit_code=2
        )
    if settings.withholds_key:
        _note_withheld_key(without_secrets(llm.base_url or ""))
    return EndpointClient(
        llm.base_url,
        settings.api_key or NO_KEY,
        llm.model,
        timeout_s=llm.timeout_s,
        max_attempts=llm.max_attempts or max_attempts,
        max_body_bytes=llm.max_body_bytes,
        profile=llm.profile,
        limit=_limit_of(llm, name),
    )


def keys_of(settings: Settings) -> dict[str, str]:
    """The API key of each endpoint that has one, by name; a single endpoint is called endpoint."""
    named = settings.each_endpoint or {"endpoint": settings}
    return {name: key for name, each in named.items() if (key := each.api_key) is not None}


def share_limits(completer: Completer, redis: Redis) -> None:
    """Share the rate limits, if there are any, with all other workers on this server."""
    for client in clients_of(completer):
        if client.limit is not None:
            client.limit.share(redis)


def clients_of(completer: Completer) -> list[EndpointClient]:
    """The client of each endpoint that a completer may ask."""
    asked = [each.completer for each in completer.endpoints] if isinstance(completer, EndpointChain) else [completer]
    return [client for client in asked if isinstance(client, EndpointClient)]


def _limit_of(llm: LLMSettings, name: str) -> RateLimit | None:
    """The limits of an endpoint; None if it has none. Workers share them if name, address and model are the same."""
    if llm.requests_per_minute is None and llm.tokens_per_minute is None:
        return None
    place = canonical.sha256(f"{without_secrets(llm.base_url or '')} {llm.model}".encode())[:16]
    return RateLimit(rate_limit(f"{name}:{place}"), llm.requests_per_minute, llm.tokens_per_minute)


def profile_for(settings: Settings) -> Profile | None:
    """The capabilities of the endpoint (the first of several) and its model; None if none is configured.

    Raises EndpointError for an unusable address, or a profile that does not exist.
    """
    llm = settings.llm.one()
    key = settings.model_copy(update={"llm": llm}).api_key
    if llm.model is None or (llm.base_url is None and key is None):
        return None
    check_endpoint(llm.base_url, key or NO_KEY)
    return profile_of(resolve(llm.base_url, key or NO_KEY).base_url, llm.model, llm.profile)


@cache
def _note_withheld_key(endpoint: str) -> None:
    """Say once that a key is not sent."""
    messages.note(
        f"OPENAI_API_KEY is not sent to {endpoint}, because it is not OpenAI's endpoint. If this endpoint needs a key, "
        "set LLMCTX_LLM__API_KEY"
    )
