"""Where a completion is posted, the headers it carries and the proxy on the way.

The openai SDK decides address and headers, once per client.
"""

import base64
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from llmctx.errors import EndpointError

NO_KEY = "none"
"""The placeholder for a key if an endpoint needs none; the SDK insists on one."""
_OPENAI = ("https", "api.openai.com", None)  # a default port is None
_ACCOUNT_HEADERS = ("OpenAI-Organization", "OpenAI-Project")
"""The headers that name an account at OpenAI; no other host gets them."""


class Address(NamedTuple):
    """An endpoint, ready to post to."""

    base_url: str
    """The base URL as the SDK writes it, with a slash at the end; it may hold a password."""
    url: str
    """The URL of chat completions, with the base URL's query; it holds no user and no password."""
    headers: dict[str, str]
    """Authorization, content type and user agent; for OpenAI's own host organization and project."""
    password: str
    """The password in the base URL; empty if there is none."""
    sign: Callable[[bytes], dict[str, str]] | None = None
    """Returns the headers for a body that must be signed; None if the headers alone do."""


def resolve(base_url: str | None, api_key: str, *, path: str = "chat/completions") -> Address:
    """Return the address for this base URL and key; `path` is what is posted to under the base URL.

    The SDK supplies its default URL, and the OPENAI_ variables it documents: custom headers, and for OpenAI's own host
    organization and project.
    A user and password in the URL replace the key, as they do in the SDK's HTTP client.

    Raises EndpointError for a URL, key or header that HTTP cannot carry.
    """
    import httpx2  # noqa: PLC0415  half a second: only who asks a model pays it
    import openai  # noqa: PLC0415  the same

    # The SDK is asked for address and headers only, so its HTTP client needs no certificates and no connections.
    unused = httpx2.AsyncClient(transport=httpx2.AsyncBaseTransport())
    try:
        sdk = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, http_client=unused)
        headers = httpx2.Headers(sdk.auth_headers)
        for name, value in sdk.default_headers.items():
            if isinstance(value, str):  # the rest marks a header that is left out
                headers[name] = value
        base = sdk.base_url
    except (openai.OpenAIError, httpx2.InvalidURL, ValueError) as error:
        # Only the SDK's own errors are shown: the others quote parts of the URL, which may hold a password.
        why = str(error) if isinstance(error, openai.OpenAIError) else "its base URL or a header is malformed"
        raise EndpointError(
            f"The endpoint cannot be used: {why.replace(api_key, '(the API key)') if api_key else why}.",
            "Check the base URL, the API key and the OPENAI_ variables.",
        ) from None
    if (base.scheme, base.host, base.port) != _OPENAI:
        for name in _ACCOUNT_HEADERS:
            headers.pop(name, None)
    if base.username or base.password:
        pair = f"{base.username}:{base.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    for name, value in headers.items():
        if not (name.isascii() and value.isprintable()):
            raise EndpointError(
                f"The header {name} has characters that HTTP cannot carry.",
                "Check the API key and the OPENAI_ variables.",
            )
    # The SDK would append the path after a query, so the query moves behind it here.
    root, separator, query = base.raw_path.partition(b"?")
    url = base.copy_with(raw_path=root + path.encode() + separator + query, username="", password="")
    return Address(str(base), str(url).partition("#")[0], dict(headers), base.password)


def environment_proxy(url: str) -> str | None:
    """The proxy that the environment (or the system's settings) names for a URL; None if there is none."""
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  it brings http.client, which nobody else needs

    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def check_endpoint(base_url: str | None, api_key: str) -> None:
    """Check an address and a key before anything is sent.

    Raises EndpointError for an address or a key that cannot be used.
    """
    try:
        parts = urlsplit(base_url or "https://default")
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise EndpointError(
            "The endpoint's base URL is malformed. It is not shown, because it may hold a password.",
            "Write it as http://HOST:PORT/v1 or https://HOST/v1.",
            exit_code=2,
        )
    if not (api_key.isascii() and api_key.isprintable()):
        raise EndpointError("The API key has characters that no HTTP header can carry.", "Copy the key again.")


def without_secrets(url: str) -> str:
    """An address without user, password, query and fragment; empty for a malformed one."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
