import pytest
from redis.asyncio import BlockingConnectionPool

from llmctx.connection import connect
from llmctx.connection.streams import StreamEntry
from llmctx.errors import ServerError

BAD_URLS = [
    "",
    "localhost",
    "localhost:6379",
    "http://127.0.0.1:6379",
    "redis://127.0.0.1:port/0",
    "redis://127.0.0.1:99999/0",
    "redis://127.0.0.1:-1/0",
    "redis://[::1",
    "redis://127.0.0.1?db=x",
    "redis://127.0.0.1?health_check_interval=soon",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_address_that_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(ServerError, match="is not a Redis address"):
        connect(url)


@pytest.mark.parametrize("url", BAD_URLS)
def test_the_refusal_shows_what_an_address_looks_like(url: str) -> None:
    with pytest.raises(ServerError) as caught:
        connect(url)
    assert "redis://127.0.0.1:6379/0" in caught.value.do


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://127.0.0.1:6400/3", {"host": "127.0.0.1", "port": 6400, "db": 3}),
        ("redis://example.test", {"host": "example.test"}),
        ("redis://[::1]:6379/0", {"host": "::1", "port": 6379}),
        ("redis://me:secret@127.0.0.1/1", {"username": "me", "password": "secret", "db": 1}),
        ("rediss://127.0.0.1:6380/0", {"port": 6380}),
        ("unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
    ],
)
async def test_an_address_is_taken_apart(url: str, expected: dict[str, object]) -> None:
    client = connect(url)
    assert expected.items() <= client.connection_pool.connection_kwargs.items()
    await client.aclose()


async def test_a_client_waits_for_a_free_connection() -> None:
    client = connect("redis://127.0.0.1:6379/0")
    assert isinstance(client.connection_pool, BlockingConnectionPool)
    await client.aclose()


@pytest.mark.parametrize("retries", [0, 3])
async def test_a_client_sends_again_as_often_as_it_was_told(retries: int) -> None:
    client = connect("redis://127.0.0.1:6379/0", retries=retries)
    retry = client.get_retry()
    assert retry is not None
    assert retry.get_retries() == retries
    await client.aclose()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/trading", "redis:/127.0.0.1"])
def test_a_database_that_is_no_number_is_refused(url: str) -> None:
    with pytest.raises(ServerError):
        connect(url)


def test_an_option_that_no_connection_knows_is_refused() -> None:
    with pytest.raises(ServerError):
        connect("redis://127.0.0.1:6379/0?colour=red")


def test_a_password_is_not_repeated_in_an_error() -> None:
    with pytest.raises(ServerError) as caught:
        connect("redis://:hunter2@127.0.0.1:port/0")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("entry_id", "number"), [("0-1", 0), ("41-1", 41), ("1746778530123-0", 1746778530123)])
def test_the_number_of_a_stream_entry_stands_before_the_dash(entry_id: str, number: int) -> None:
    assert StreamEntry(entry_id, {}).number == number
