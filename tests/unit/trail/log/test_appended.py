import tracemalloc

from llmctx.trail.log.appended import is_ours, remember


def hashed(index: int) -> bytes:
    return index.to_bytes(32, "big")


def test_a_record_is_known_at_the_place_where_it_was_appended_alone() -> None:
    remember(70, 5, hashed(1))
    assert is_ours(70, 5, hashed(1))
    assert not is_ours(70, 5, hashed(2))
    assert not is_ours(70, 6, hashed(1))
    assert not is_ours(70, 5 + 4096, hashed(1))
    assert not is_ours(71, 5, hashed(1))


def test_the_last_four_thousand_records_of_each_partition_are_known_in_memory_that_does_not_grow() -> None:
    for partition in (80, 81):
        remember(partition, 0, hashed(0))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for index in range(10_000):
        for partition in (80, 81):
            remember(partition, index, hashed(index))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 1000
    for partition in (80, 81):
        known = [index for index in range(10_000) if is_ours(partition, index, hashed(index))]
        assert known == list(range(10_000 - 4096, 10_000))
