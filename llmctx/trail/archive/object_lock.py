"""Object lock: what is stored in S3 may be neither replaced nor deleted before a time, by nobody (COMPLIANCE).

obstore signs no headers of its own choosing, so the retention is set in a second call, by boto3. It is set also for an
object that stood there already: an archiver that was killed between the two calls is completed by the next one. A
retention is only ever made longer, as S3 demands.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from llmctx.errors import ArchiveError


class ObjectLock:
    """Retains the objects of one bucket until a time."""

    def __init__(self, url: str, until_ms: int) -> None:
        """`until_ms` is in milliseconds since 1970.

        Raises ArchiveError if boto3 is not installed.
        """
        try:
            import boto3  # noqa: PLC0415  an optional extra
        except ImportError as error:
            raise ArchiveError("boto3 is not installed.", "pip install 'llmctx[retention]'", exit_code=3) from error
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc.rpartition("@")[2], parts.path.strip("/")
        self._until = datetime.fromtimestamp(until_ms / 1000, UTC)
        self._client: Any = boto3.client("s3")

    def retain(self, name: str) -> None:
        """Retain an object until the time, or longer if it is retained longer already.

        Raises ArchiveError if the bucket has no object lock, or does not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  an optional extra

        place = {"Bucket": self._bucket, "Key": f"{self._prefix}/{name}".strip("/")}
        try:
            head = self._client.head_object(**place)
            known = head.get("ObjectLockRetainUntilDate")
            if head.get("ObjectLockMode") == "COMPLIANCE" and known is not None and known >= self._until:
                return
            self._client.put_object_retention(**place, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": self._until})
        except (BotoCoreError, ClientError) as error:
            raise ArchiveError(
                f"{name} in s3://{self._bucket} could not be retained: {error}.",
                "Make the bucket with object lock, and allow s3:PutObjectRetention. Nothing was trimmed.",
            ) from error
