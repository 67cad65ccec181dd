from llmctx.bounded_cache import BoundedCache


def filled(count: int, *, max_entries: int = 100, max_bytes: int = 1000, size_bytes: int = 1) -> BoundedCache[int, str]:
    cache: BoundedCache[int, str] = BoundedCache(max_entries, max_bytes)
    for number in range(count):
        cache.put(number, str(number), size_bytes)
    return cache


def test_what_was_put_in_is_found() -> None:
    assert filled(3).get(2) == "2"


def test_what_was_not_put_in_is_none() -> None:
    assert filled(3).get(3) is None


def test_the_oldest_entries_go_when_there_are_too_many() -> None:
    cache = filled(150)
    assert (len(cache), cache.get(49), cache.get(50)) == (100, None, "50")


def test_the_oldest_entries_go_when_they_take_too_many_bytes() -> None:
    cache = filled(50, size_bytes=30)
    assert (len(cache), cache.size_bytes, cache.get(16), cache.get(17)) == (33, 990, None, "17")


def test_an_entry_larger_than_the_cache_is_not_kept() -> None:
    cache = filled(3)
    cache.put(9, "large", 1001)
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_key_put_in_again_counts_once() -> None:
    cache = filled(3)
    cache.put(1, "again", 5)
    assert (len(cache), cache.size_bytes, cache.get(1)) == (3, 7, "again")


def test_a_dropped_entry_is_gone_and_takes_no_bytes() -> None:
    cache = filled(3)
    cache.drop(1)
    cache.drop(7)
    assert (len(cache), cache.size_bytes, cache.get(1), cache.get(2)) == (2, 2, None, "2")
