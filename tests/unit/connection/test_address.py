"""A secret in an address of Redis is never shown, wherever it stands."""

import traceback

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmctx.connection import connect
from llmctx.connection.address import check_address, read_watched, without_password
from llmctx.connection.sentinel import Place
from llmctx.errors import ServerError

SECRET = "hunterTwo"
PLACES = [
    "redis://:{}@127.0.0.1:6379/0",
    "redis://svc:{}@127.0.0.1:6379/0",
    "redis://{}@127.0.0.1:6379/0",
    "redis://{}:pw@127.0.0.1:6379/0",
    "rediss://svc:{}@127.0.0.1:6379/0",
    "redis://svc:{}",
    "redis://:{}",
    "redis://:{}@",
    "redis://svc:{}@/0",
    "redis://127.0.0.1:{}/0",
    "redis://127.0.0.1:6379/{}",
    "redis://127.0.0.1:6379/0/{}",
    "redis://127.0.0.1:6379/0?password={}",
    "redis://127.0.0.1:6379/0?username={}&password=pw",
    "redis://127.0.0.1:6379/0?db={}",
    "redis://127.0.0.1:6379/0?{}",
    "redis://127.0.0.1:6379/0?{}=1",
    "redis://127.0.0.1:6379/0?ssl_{}=1",
    "redis://127.0.0.1:6379/0?ssl_password={}",
    "redis://127.0.0.1:6379/0?health_check_interval={}",
    "redis://127.0.0.1:6379/0#{}",
    "redis://[{}@127.0.0.1:6379/0",
    "redis://[{}]:6379/0",
    "redis:/{}@127.0.0.1",
    "redis:{}@127.0.0.1:6379",
    "unix://:{}@/run/redis.sock",
    "unix:///run/redis.sock?password={}",
    "unix://{}",
    "redis+sentinel://:{}@127.0.0.1:26379,127.0.0.1:26380/trading/0",
    "redis+sentinel://svc:{}@127.0.0.1:26379,[::1]:26380/trading/0",
    "redis+sentinel://{}:pw@127.0.0.1:26379/trading",
    "rediss+sentinel://svc:{}@127.0.0.1:26379/trading?sentinel_password=pw",
    "redis+sentinel://127.0.0.1:26379/trading/0?sentinel_password={}",
    "redis+sentinel://127.0.0.1:26379/trading/0?sentinel_username={}&sentinel_password=pw",
    "redis+sentinel://127.0.0.1:26379/trading/0?password={}&ssl_password=pw",
    "redis+sentinel://127.0.0.1:26379/trading/{}",
    "redis+sentinel://127.0.0.1:{}/trading/0",
    "redis+sentinel://127.0.0.1:26379,:{}@127.0.0.1:26380/trading/0",
    "redis+sentinel://:{}",
    "redis+sentinel://svc:{}@/trading/0",
    "redis+sentinel://:{}@127.0.0.1:26379",
    "redis://127.0.0.1:6379/0?sentinel_password={}",
    "{}",
    "{}@127.0.0.1:6379",
    "http://:{}@127.0.0.1:6379",
    "{}://127.0.0.1",
]
REFUSED_INSIDE = "/@?#[] \t\n"
"""Characters that a password cannot contain as they are."""


def shown(url: str) -> str:
    """Everything that may be printed about an address."""
    try:
        connect(url)
    except ServerError as error:
        return f"{without_password(url)} {error} {''.join(traceback.format_exception(error))}"
    return without_password(url)


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_shown_from_no_place(place: str) -> None:
    assert SECRET not in shown(place.format(SECRET))


@given(st.sampled_from(PLACES), st.text(f"{REFUSED_INSIDE}:&=+%!$'(),;~-._²ä", max_size=6), st.booleans())
def test_a_secret_with_any_characters_around_it_is_shown_from_no_place(place: str, around: str, before: bool) -> None:
    url = place.format(around + SECRET if before else SECRET + around)
    assume(f"@{SECRET}" not in url)  # then it is the host, by every rule
    assume(not url.startswith("unix:///"))  # the same for the path of a socket
    assert SECRET not in shown(url)


@pytest.mark.parametrize("character", REFUSED_INSIDE)
@pytest.mark.parametrize("user", ["", "svc"])
def test_a_password_that_must_be_percent_encoded_is_refused_and_says_so(user: str, character: str) -> None:
    with pytest.raises(ServerError, match="percent-encode it"):
        check_address(f"redis://{user}:pa{character}ss+w0rd=@127.0.0.1:6379/0")


def test_a_percent_encoded_password_is_what_the_server_gets() -> None:
    client = connect("redis://svc:pa%2Fs%40s%3F@127.0.0.1:6379/0")
    assert client.connection_pool.connection_kwargs["password"] == "pa/s@s?"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://redis_1", "redis://redis_1"),
        ("redis://[::1]:6379/2", "redis://[::1]:6379/2"),
        ("rediss://svc:pw@redis.example:6380/3?ssl_cert_reqs=none", "rediss://***@redis.example:6380/3"),
        ("redis://127.0.0.1?db=4&password=pw", "redis://127.0.0.1?db=4"),
        ("unix://svc:pw@/run/redis.sock?db=2", "unix://***@/run/redis.sock?db=2"),
        ("redis+sentinel://u:pw@a:1,[::1]:2/trade/3?sentinel_password=x", "redis+sentinel://***@a:1,[::1]:2/trade/3"),
        ("redis+sentinel://a/trade", "redis+sentinel://a/trade"),
    ],
)
def test_the_rest_of_an_address_is_shown(url: str, expected: str) -> None:
    check_address(url)
    assert without_password(url) == expected


def test_an_address_with_sentinels_has_a_password_for_them_and_one_for_the_server() -> None:
    watched = read_watched("redis+sentinel://svc:p%2Fw@a,[::1]:2/trade/3?sentinel_username=s&sentinel_password=x%40y")
    assert watched is not None
    assert watched.sentinels == (("a", 26379), ("::1", 2))
    assert (watched.service, watched.options) == ("trade", {"username": "s", "password": "x@y"})
    kwargs = connect(
        "redis+sentinel://svc:p%2Fw@a,[::1]:2/trade/3?sentinel_password=x"
    ).connection_pool.connection_kwargs
    assert (kwargs["username"], kwargs["password"], kwargs["db"]) == ("svc", "p/w", 3)


def test_the_address_of_a_watched_server_has_its_password_and_options_but_none_of_the_sentinels() -> None:
    watched = read_watched("rediss+sentinel://svc:p%2Fw@a/trade/3?sentinel_password=x&ssl_ca_certs=/ca.pem")
    assert watched is not None
    assert watched.server_url(Place("b", 7)) == "rediss://svc:p%2Fw@b:7/3?ssl_ca_certs=/ca.pem"
    assert watched.server_url(Place("::1", 7)) == "rediss://svc:p%2Fw@[::1]:7/3?ssl_ca_certs=/ca.pem"


def test_the_password_of_sentinels_is_refused_where_there_are_none() -> None:
    with pytest.raises(ServerError, match="an unknown option"):
        check_address("redis://127.0.0.1:6379/0?sentinel_password=x")


@pytest.mark.parametrize(
    "option", ["decode_responses=true", "protocol=3", "encoding=latin-1", "encoding_errors=ignore", "max_connections=1"]
)
def test_an_option_that_changes_replies_is_refused_by_name(option: str) -> None:
    with pytest.raises(ServerError, match=f"sets the option {option.partition('=')[0]},") as caught:
        connect(f"redis://127.0.0.1:6379/0?{option}")
    assert caught.value.exit_code == 2
