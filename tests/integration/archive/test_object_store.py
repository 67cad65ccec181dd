"""An object store as the archive's place: created only, under object lock, and read back."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import boto3
import pytest
from redis.asyncio import Redis
from werkzeug.serving import make_server

from llmctx.errors import ArchiveError
from llmctx.trail.archive.place import open_place
from llmctx.trail.archive.reader import open_archive
from llmctx.trail.log.log import Log
from tests.integration.archive.conftest import SIGNED_FIRST
from tests.integration.archive.test_erasure import TWO_DAYS_LATER
from tests.integration.program import Program
from tests.integration.test_prove import SIZE

DAYS = 400


def client_of(endpoint: str) -> Any:
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def make_bucket(endpoint: str) -> None:
    """A bucket under object lock, whose objects are retained in COMPLIANCE mode."""
    client = client_of(endpoint)
    if any(each["Name"] == "trails" for each in client.list_buckets()["Buckets"]):
        return  # moto remembers across servers, when the tests of this module run in two goes
    client.create_bucket(Bucket="trails", ObjectLockEnabledForBucket=True)
    retention = {"Mode": "COMPLIANCE", "Days": DAYS}
    client.put_object_lock_configuration(
        Bucket="trails",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
    )


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """moto's S3. Under object lock it knows only one of the two headers with which S3 takes a checksum."""
    from moto.moto_server import werkzeug_app  # noqa: PLC0415  slow to import, and every worker imports this module

    moto = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)

    def app(environ: dict[str, Any], start: Any) -> Any:
        if "HTTP_X_AMZ_CHECKSUM_SHA256" in environ:
            environ["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"] = "SHA256"
        return moto(environ, start)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=werkzeug_app.MotoRequestHandler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    make_bucket(url)
    yield url
    server.shutdown()
    thread.join()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, proven: Program) -> str:
    """The address of the bucket, with access to it."""
    access = {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true",
    }  # fmt: skip
    for name, value in access.items():
        monkeypatch.setenv(name, value)
    proven.environment |= access
    return "s3://trails/prod"


async def test_a_trail_moves_into_a_bucket_that_keeps_it(
    valkey: Redis, proven: Program, bucket: str, endpoint: str
) -> None:
    before = [(entry.index, entry.leaf, entry.pieces, entry.proof) async for entry in Log(valkey).read()]
    for keep, first in (("2", SIGNED_FIRST), ("0", SIZE)):
        done = await proven("archive", "--to", bucket, "--older-than", "0d", "--keep", keep, "--json")
        assert done.code == 0, done.err
        assert await Log(valkey).first() >= first
    archive = open_archive(bucket)
    found = archive.entries(archive.parts[0], stop=SIZE)
    assert [(entry.index, entry.leaf, entry.pieces, entry.proof) for entry in found] == before
    assert (await proven("verify", "--json")).code == 0

    client = client_of(endpoint)
    listed = client.list_objects_v2(Bucket="trails")["Contents"]
    assert len(listed) > len(archive.segments[0])
    for each in listed:
        about = client.head_object(Bucket="trails", Key=each["Key"])
        assert about["ObjectLockMode"] == "COMPLIANCE"
        assert about["ObjectLockRetainUntilDate"] > datetime.now(UTC) + timedelta(days=DAYS - 1)
    assert open_place(bucket).put(archive.segments[0][0].name, b"forged") is False


async def test_a_bucket_that_is_not_there_is_named(proven: Program, bucket: str) -> None:  # noqa: ARG001
    with pytest.raises(
        ArchiveError, match="s3://elsewhere/x could not be written: 404 Not Found, NoSuchBucket"
    ) as told:
        open_place("s3://elsewhere/x").put("a", b"b")
    assert told.value.do == "See that the bucket exists; llmctx makes none."
    refused = await proven("backup", "--to", "s3://elsewhere/x")
    assert (refused.code, "NoSuchBucket" in refused.err, "snapshot" in refused.err) == (2, True, False)


async def test_what_is_archived_is_retained_until_the_date_that_is_given(
    proven: Program, bucket: str, endpoint: str
) -> None:
    until = (datetime.now(UTC) + timedelta(days=2 * DAYS)).date()
    place = f"{bucket}/longer"
    done = await proven("archive", "--to", place, "--older-than", "0d", "--keep", "0", "--retain-until", str(until))
    assert done.code == 0, done.err
    client = client_of(endpoint)
    for each in client.list_objects_v2(Bucket="trails", Prefix="prod/longer/")["Contents"]:
        about = client.head_object(Bucket="trails", Key=each["Key"])
        assert (about["ObjectLockMode"], about["ObjectLockRetainUntilDate"].date()) == ("COMPLIANCE", until)
        with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
            client.delete_object(Bucket="trails", Key=each["Key"], VersionId=about["VersionId"])


@pytest.mark.more
async def test_an_erasure_says_that_a_bucket_keeps_versions_of_what_it_erased(proven: Program, bucket: str) -> None:
    where = f"{bucket}/erased"
    assert (await proven("archive", "--to", where, "--older-than", "0d", "--keep", "0")).code == 0
    proven.environment |= {"LLMCTX_ARCHIVE": where, "LLMCTX_RETENTION__SNAPSHOT_D": "1"}
    erased = await proven.ended(await proven.start("erase", "--json", before=TWO_DAYS_LATER))
    assert (erased.code, erased.document["version_stays"]) == (0, True), erased.err
    assert "the object store keeps versions" in erased.err
    assert (await proven("verify", "--json")).document["erased"] == {"snapshot": erased.document["records"]}


async def test_a_folder_cannot_retain(proven: Program) -> None:
    refused = await proven("archive", "--to", "kept", "--older-than", "0d", "--retain-until", "2033-12-31")
    assert (refused.code, "has no object lock" in refused.err) == (2, True)


@pytest.mark.more
async def test_a_backup_goes_to_a_bucket_and_comes_back(proven: Program, bucket: str, endpoint: str) -> None:
    where = f"{bucket}/backups"
    armed = "from llmctx import killpoint; killpoint.arm('uploaded')"
    await (await proven.start("backup", "--to", where, before=armed)).communicate()  # killed after its first file
    nothing = await proven("restore", where, "--over", "--json")
    assert (nothing.code, "There is no backup in s3://trails/prod/backups." in nothing.err) == (2, True)

    first = await proven("backup", "--to", where, "--json")
    assert first.code == 0, first.err
    second = (await proven("backup", "--to", where, "--keep-daily", "1", "--json")).document
    assert second["removed"] == [first.document["backup"]]
    found = client_of(endpoint).list_objects_v2(Bucket="trails", Prefix=f"prod/backups/{second['backup'][-24:]}/")
    assert sum(each["Size"] for each in found["Contents"]) > second["stored_bytes"]
    assert [*(proven.folder / "var/outgoing/backup").glob("2*")] == []

    (proven.folder / "var").rename(proven.folder / "lost")
    for named in (where, second["backup"]):
        restored = await proven("restore", named, "--over", "--json")
        assert restored.code == 0, restored.err
        assert (restored.document["backup"], restored.document["verdict"]) == (second["backup"], "restored")
    assert (await proven("verify", "--json")).document["records"] == SIZE
