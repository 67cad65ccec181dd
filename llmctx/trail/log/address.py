"""The address of a record: INDEX, or P:INDEX if the trail has several partitions."""

from redis.asyncio import Redis

from llmctx.errors import AddressError
from llmctx.trail.log.entry import Entry
from llmctx.trail.log.instance import Instance
from llmctx.trail.log.log import Log


async def read_record(redis: Redis, instance: Instance, text: str) -> Entry:
    """The record at an address.

    Raises AddressError if the text is not an address or there is no such record.
    """
    partition, index = parse_address(text, instance.partitions)
    log = Log(redis, partition)
    entry = await log.entry(index)
    if entry is None:
        raise AddressError(
            f"There is no record {text}.",
            f"The log has {await log.size()} records, numbered from 0; `llmctx decisions` lists them.",
        )
    return entry


def parse_address(text: str, partitions: int) -> tuple[int, int]:
    """Partition and index of an address; the partition may be left out if there is only one.

    Raises AddressError if the text is not an address.
    """
    partition, _, index = text.rpartition(":")
    if not partition and partitions == 1:
        partition = "0"
    if index.isdecimal() and partition.isdecimal() and int(index) < 2**53 and int(partition) < partitions:
        return int(partition), int(index)
    form = "INDEX" if partitions == 1 else "P:INDEX"
    raise AddressError(f"{text!r} is not an address.", f"Write {form}, as `llmctx decisions` prints it.")
