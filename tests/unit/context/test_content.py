from llmctx import clock
from llmctx.context.content import SectionContent, read_content
from llmctx.context.staleness import Status
from tests.unit.context.scene import END_OF_DAY_MS, TEXTS, edited, package_of


def content_of(section: str, text: str | None = None) -> SectionContent:
    return read_content(section, (text or TEXTS[section]).encode())


def test_the_same_bytes_are_read_once() -> None:
    assert content_of("market") is content_of("market")


def test_other_bytes_are_read_anew() -> None:
    assert content_of("market") is not content_of("market", TEXTS["market"] + " ")


def test_the_same_bytes_in_another_section_are_another_value() -> None:
    assert content_of("signals.entry") is not content_of("signals.exit", TEXTS["signals.entry"])


def test_unusable_bytes_say_why() -> None:
    content = content_of("price", "{")
    assert (content.status, content.value) == (Status.INVALID, None)
    assert content.reason is not None
    assert content.reason.startswith("not usable JSON")


def test_two_packages_of_the_same_bytes_share_their_facts() -> None:
    assert package_of().facts["market"] is package_of().facts["market"]


def test_age_and_status_follow_the_time_of_the_package_and_not_the_cache() -> None:
    fresh = package_of().sections["market"]
    stale = package_of(as_of_ms=END_OF_DAY_MS + 10**9).sections["market"]
    assert stale.age_ms is not None
    assert fresh.age_ms is not None
    assert (stale.age_ms - fresh.age_ms, stale.status) == (10**9, Status.STALE)


def test_a_time_that_lies_ahead_is_seen_whenever_it_lies_ahead() -> None:
    ahead = edited("market", "timestamp", to=clock.iso(END_OF_DAY_MS + 60_000))
    statuses = [
        package_of({"market": ahead}, as_of_ms=END_OF_DAY_MS + later_ms).sections["market"].status
        for later_ms in (0, 120_000, 0)
    ]
    assert statuses == [Status.INVALID, Status.FRESH, Status.INVALID]


def test_a_section_that_the_package_rejects_has_no_facts() -> None:
    package = package_of({"position": edited("position", "symbol", to="MSFT")})
    assert (package.sections["position"].status, package.facts["position"]) == (Status.INVALID, [])
