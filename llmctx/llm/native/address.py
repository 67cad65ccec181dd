"""Where the providers' own protocols are posted to, and which headers authenticate the caller."""

import re
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from llmctx.errors import EndpointError
from llmctx.llm.address import NO_KEY, Address, resolve
from llmctx.llm.native.api import Api

_REGION = re.compile(r"(?:^|\.)bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")
"""The region in a host name, also in that of a private endpoint."""
_REGION_VARIABLES = ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None)
"""Where Amazon's tools look for the region; botocore alone knows the second name only."""
_CREDENTIALS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or give a Bedrock API key."


def resolve_for(api: Api, base_url: str | None, api_key: str, model: str) -> Address:
    """Return the address for this protocol, base URL, key and model.

    Anthropic's SDK supplies its headers, boto3 the credentials of Amazon and the signature of each request. A key for
    Bedrock is a Bedrock API key, and no key means the credentials that boto3 finds.

    Raises EndpointError for a URL or key that cannot be used, or an SDK that is not installed.
    """
    match api:
        case Api.ANTHROPIC:
            return _anthropic(_needed(base_url, "https://api.anthropic.com"), api_key)
        case Api.BEDROCK:
            return _bedrock(_needed(base_url, "https://bedrock-runtime.REGION.amazonaws.com"), api_key, model)
        case Api.RESPONSES:
            return resolve(base_url, api_key, path="responses")
    return resolve(base_url, api_key)


def _needed(base_url: str | None, example: str) -> str:
    if base_url is None:
        raise EndpointError("The endpoint has no base URL.", f"Set LLMCTX_LLM__BASE_URL, for example {example}.")
    if urlsplit(base_url).username is not None or urlsplit(base_url).query:
        raise EndpointError(
            "The endpoint's base URL has a user, a password or a query, which this protocol does not use.",
            f"Write it as {example}, and the key as LLMCTX_LLM__API_KEY.",
        )
    return base_url.rstrip("/")


def _anthropic(base_url: str, api_key: str) -> Address:
    try:
        import anthropic  # noqa: PLC0415  an extra
        import httpx2  # noqa: PLC0415  only who asks a model pays for the import
    except ImportError as error:
        raise _missing("anthropic") from error

    base_url = base_url.removesuffix("/v1")
    unused = httpx2.AsyncClient(transport=httpx2.AsyncBaseTransport())
    sdk = anthropic.AsyncAnthropic(base_url=base_url, api_key=api_key, http_client=unused)
    headers = {name.lower(): value for name, value in sdk.default_headers.items() if isinstance(value, str)}
    # A token in the environment is meant for Anthropic's own host, and the SDK would send it to any.
    headers.pop("authorization", None)
    if api_key != NO_KEY:
        headers["authorization"] = f"Bearer {api_key}"
    return Address(f"{base_url}/", f"{base_url}/v1/messages", headers | {"content-type": "application/json"}, "")


def _bedrock(base_url: str, api_key: str, model: str) -> Address:
    headers = {"content-type": "application/json", "accept": "application/json"}
    url = f"{base_url}/model/{quote(model, safe='')}/converse"
    if api_key != NO_KEY:
        return Address(f"{base_url}/", url, headers | {"authorization": f"Bearer {api_key}"}, "")
    return Address(f"{base_url}/", url, headers, "", _signer(url, headers))


def _signer(url: str, headers: dict[str, str]) -> Callable[[bytes], dict[str, str]]:
    """Signs each request with the credentials that boto3 finds (environment, profile, role)."""
    try:
        import boto3  # noqa: PLC0415  an extra
        from botocore.auth import SigV4Auth  # noqa: PLC0415  the same
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415  the same
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415  the same
        from botocore.session import Session  # noqa: PLC0415  the same
    except ImportError as error:
        raise _missing("bedrock") from error

    try:
        session = boto3.Session(botocore_session=Session({"region": _REGION_VARIABLES}))
        found = _REGION.search(urlsplit(url).hostname or "")
        region = found[1] if found else session.region_name
        credentials = session.get_credentials()
    except BotoCoreError as error:  # a missing profile, or half a pair of keys
        raise EndpointError(f"boto3 cannot use its configuration: {error}", _CREDENTIALS) from error
    if not region:
        raise EndpointError(
            "No region of Amazon Bedrock is known.", "Set AWS_REGION, or name the region in LLMCTX_LLM__BASE_URL."
        )
    if credentials is None:
        raise EndpointError("boto3 finds no credentials for Amazon Bedrock.", _CREDENTIALS)

    def sign(body: bytes) -> dict[str, str]:
        request = AWSRequest("POST", url, data=body, headers=headers)
        SigV4Auth(credentials.get_frozen_credentials(), "bedrock", region).add_auth(request)
        return dict(request.headers.items())

    return sign


def _missing(extra: str) -> EndpointError:
    return EndpointError(f"The SDK for {extra} is not installed.", f"pip install 'llmctx[{extra}]'")
