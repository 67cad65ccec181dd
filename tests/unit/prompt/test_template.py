import json
from pathlib import Path

import pytest

from llmctx import canonical
from llmctx.assets import asset
from llmctx.errors import TemplateError
from llmctx.prompt.sources import collect
from llmctx.prompt.template import Parameters, Template, load_template, newest
from tests.unit.makers import is_canonical

HEAD = ["name: probe", "version: 1", "description: A probe.", "output: decision"]
BODY = "system:\nYou decide.\nuser:\nDecide on {{ symbol }}.\n"


def source(body: str = BODY, *more: str, head: list[str] | None = None) -> str:
    return "---\n" + "".join(f"{line}\n" for line in [*(HEAD if head is None else head), *more]) + "---\n" + body


def folder_of(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def load(folder: Path, body: str = BODY, *more: str, **files: str) -> Template:
    """The template probe/v1 of a folder that holds it, and beside it these files (`a__b` is a/b.md)."""
    beside = {f"{name.replace('__', '/')}.md": text for name, text in files.items()}
    folder_of(folder, {"probe/v1.md.j2": source(body, *more)} | beside)
    return Template("probe/v1", collect(folder, "probe/v1.md.j2", "--prompt probe"))


def refused(text: str, ref: str = "probe/v1") -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        Template(ref, {f"{ref}.md.j2": text})
    return caught.value


# Front matter


def test_front_matter_is_read() -> None:
    text = source(BODY, "parameters: {temperature: 0.5, seed: 7, reasoning_effort: low}")
    front_matter = Template("probe/v1", {"probe/v1.md.j2": text}).front_matter
    assert (front_matter.name, front_matter.version, front_matter.output) == ("probe", 1, "decision")
    assert front_matter.parameters == Parameters(temperature=0.5, seed=7, reasoning_effort="low")


def test_parameters_that_are_not_set_are_none() -> None:
    front_matter = Template("probe/v1", {"probe/v1.md.j2": source()}).front_matter
    assert set(front_matter.parameters.model_dump().values()) == {None}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file does not begin with YAML front matter"),
        (BODY, "the file does not begin with YAML front matter"),
        ("\n" + source(), "the file does not begin with YAML front matter"),
        ("\ufeff" + source(), "the file does not begin with YAML front matter"),
        ("---\nname: probe\n", "the file does not begin with YAML front matter"),
        (source(head=["name: ["]), "the front matter is no YAML"),
        (source(head=["name: a: b"]), "the front matter is no YAML"),
        (source(head=["? [a]", ": 1"]), "the front matter is no YAML"),
        (source(BODY, "x: !!python/object/apply:os.getcwd []"), "the front matter is no YAML"),
        (source(head=["- a"]), "front matter, as a whole"),
        (source(head=["text"]), "front matter, as a whole"),
        (source(head=[""]), "front matter, as a whole"),
        (source(BODY, "temperature: 1"), "front matter, temperature: Extra inputs"),
        (source(BODY, "parameters: {temprature: 1}"), "front matter, parameters.temprature: Extra inputs"),
        (source(BODY, "parameters: {temperature: 2.1}"), "front matter, parameters.temperature"),
        (source(BODY, "parameters: {temperature: .nan}"), "front matter, parameters.temperature"),
        (source(BODY, "parameters: {top_p: 0}"), "front matter, parameters.top_p"),
        (source(BODY, "parameters: {max_tokens: 0}"), "front matter, parameters.max_tokens"),
        (source(BODY, "parameters: {seed: x}"), "front matter, parameters.seed"),
        (source(BODY, "parameters: hot"), "front matter, parameters"),
        (source(head=[*HEAD[:1], "version: one", *HEAD[2:]]), "front matter, version"),
        (source(head=[*HEAD[:1], "version: 0", *HEAD[2:]]), "front matter, version"),
        (source(head=["name: other", *HEAD[1:]]), "the front matter says other/v1, the file is probe/v1"),
        (source(head=[*HEAD[:1], "version: 2", *HEAD[2:]]), "the front matter says probe/v2, the file is probe/v1"),
    ],
)
def test_front_matter_that_cannot_be_used_is_named_with_file_and_line(text: str, told: str) -> None:
    assert refused(text).what.startswith(f"probe/v1.md.j2, line 1: {told}")


@pytest.mark.parametrize("field", ["name", "version", "description", "output"])
def test_a_field_that_is_left_out_is_named(field: str) -> None:
    error = refused(source(head=[line for line in HEAD if not line.startswith(field)]))
    assert error.what == f"probe/v1.md.j2, line 1: front matter, {field}: Field required."


@pytest.mark.parametrize("line", ["description: 2025-13-45", f"parameters: {{seed: {'9' * 5000}}}"])
def test_a_date_or_number_that_does_not_exist_is_named_with_file_and_line(line: str) -> None:
    head = [known for known in HEAD if not known.startswith(line.split(":", maxsplit=1)[0])]
    assert refused(source(BODY, line, head=head)).what.startswith("probe/v1.md.j2, line 1: ")


def test_a_field_that_stands_twice_is_refused() -> None:
    refused(source(BODY, "output: decision"))


# Parts


def test_a_template_has_a_system_part_and_a_user_part(tmp_path: Path) -> None:
    assert [part.role for part in load(tmp_path).parts] == ["system", "user"]


def test_each_part_is_what_stands_below_its_line(tmp_path: Path) -> None:
    parts = load(tmp_path, "system:\nOne.\n\nuser:  \nTwo.\n").parts
    assert [part.template.render().strip() for part in parts] == ["One.", "Two."]


@pytest.mark.parametrize("line", ["system: x", " system:", "System:", "a system:", "user:x", "assistant:"])
def test_what_only_looks_like_a_role_is_text(tmp_path: Path, line: str) -> None:
    parts = load(tmp_path, f"system:\n{line}\nuser:\nTwo.\n").parts
    assert parts[0].template.render().strip("\n") == line


@pytest.mark.parametrize(
    "body",
    [
        "",
        "Decide.\n",
        "system:\nOne.\n",
        "user:\nTwo.\n",
        "user:\nTwo.\nsystem:\nOne.\n",
        "system:\nOne.\nsystem:\nTwo.\nuser:\nThree.\n",
        "system:\nOne.\nuser:\nTwo.\nuser:\nThree.\n",
        "system:\nOne.\nuser:\nTwo.\nsystem:\nThree.\n",
    ],
)
def test_a_body_without_one_of_each_in_order_is_refused(body: str) -> None:
    assert refused(source(body)).what == (
        "probe/v1.md.j2, line 7: the body needs one line `system:` and after it one line `user:`."
    )


def test_text_before_the_first_role_is_refused() -> None:
    assert refused(source(f"Hello.\n{BODY}")).what == "probe/v1.md.j2, line 7: there is text before `system:`."


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("system:\n{{ \nuser:\nx\n", 8),
        ("system:\n{% if %}{% endif %}\nuser:\nx\n", 8),
        ("system:\nx\nuser:\n\n\n{{ a b }}\n", 12),
        ("system:\nx\nuser:\n{% nonsense %}\n", 10),
        ("\n\nsystem:\n{% endif %}\nuser:\nx\n", 10),
        ("system:\n{{ x|nonsense }}\nuser:\nx\n", 8),
    ],
)
def test_a_slip_in_the_body_is_named_with_file_and_line(body: str, line: int) -> None:
    assert refused(source(body)).what.startswith(f"probe/v1.md.j2, line {line}: ")


# The folder


@pytest.mark.parametrize(
    ("versions", "expected"), [([1], 1), ([1, 2], 2), ([9, 10], 10), ([100, 99, 20], 100), ([2, 11, 1], 11)]
)
def test_the_newest_version_is_the_highest_number(tmp_path: Path, versions: list[int], expected: int) -> None:
    text = source().replace("version: 1", "version: {}")
    folder_of(tmp_path, {f"probe/v{version}.md.j2": text.replace("{}", str(version), 1) for version in versions})
    assert newest(tmp_path, "probe") == f"probe/v{expected}"


@pytest.mark.parametrize("name", ["v01.md.j2", "v0.md.j2", "v2x.md.j2", "v2.md", "w2.md.j2", "v-2.md.j2", "v2.1.md.j2"])
def test_what_is_no_version_is_passed_over(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, {f"probe/{name}": "not a template"})
    assert load(tmp_path).ref == "probe/v1"


def test_an_older_version_can_be_asked_for(tmp_path: Path) -> None:
    folder_of(tmp_path, {"probe/v2.md.j2": source().replace("version: 1", "version: 2")})
    load(tmp_path)
    assert load_template(tmp_path, "probe/v1").ref == "probe/v1"


@pytest.mark.parametrize("name", ["nobody", "prob", "Probe", "*"])
def test_a_prompt_that_is_not_there_is_named_with_the_folder(tmp_path: Path, name: str) -> None:
    load(tmp_path)
    with pytest.raises(TemplateError) as caught:
        load_template(tmp_path, name)
    assert name in caught.value.what
    assert str(tmp_path) in caught.value.what


def test_the_prompts_that_are_there_are_listed(tmp_path: Path) -> None:
    folder_of(tmp_path, {"other/v1.md.j2": "", "probe/v1.md.j2": ""})
    with pytest.raises(TemplateError) as caught:
        load_template(tmp_path, "nobody")
    assert "other, probe" in caught.value.do


@pytest.mark.parametrize("folder", [".", "not/there"])
def test_an_empty_folder_is_told(tmp_path: Path, folder: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load_template(tmp_path / folder, "probe")
    assert "the folder is empty" in caught.value.do


@pytest.mark.parametrize("name", ["probe/v2", "probe/1", "probe/v1.md.j2", "probe/", "other/v1", "./x/v1"])
def test_a_version_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    load(tmp_path)
    with pytest.raises(TemplateError) as caught:
        load_template(tmp_path, name)
    assert caught.value.what.startswith(f"--prompt {name} asks for {name}.md.j2, which cannot be read in {tmp_path}")


@pytest.mark.parametrize("name", ["../probe/v1", "/etc/passwd", "probe/../../probe/v1", "a/../probe/v1"])
def test_a_path_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    load(tmp_path)
    load(tmp_path / "inner")
    with pytest.raises(TemplateError) as caught:
        load_template(tmp_path / "inner", name)
    assert caught.value.what == f"--prompt {name} asks for {name}.md.j2, outside {tmp_path / 'inner'}."


def test_a_file_that_is_no_utf_8_is_refused_and_named(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "probe" / "v1.md.j2").write_bytes(source().encode() + b"\xff")
    with pytest.raises(TemplateError, match=r"probe/v1\.md\.j2, which cannot be read"):
        load_template(tmp_path, "probe")


def test_line_ends_of_another_system_make_the_same_template(tmp_path: Path) -> None:
    unix = load(tmp_path)
    (tmp_path / "probe" / "v1.md.j2").write_bytes(source().replace("\n", "\r\n").encode())
    assert load_template(tmp_path, "probe").sha256 == unix.sha256


def test_an_empty_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError):
        load_template(tmp_path, "")


# Includes

INCLUDING = 'system:\n{% include "shared/rules.md" %}\nuser:\nx\n'


def test_an_include_is_part_of_the_sources(tmp_path: Path) -> None:
    assert set(load(tmp_path, INCLUDING, shared__rules="Be careful.").sources) == {"probe/v1.md.j2", "shared/rules.md"}


def test_the_digest_covers_what_is_included(tmp_path: Path) -> None:
    one = load(tmp_path, INCLUDING, shared__rules="Be careful.")
    other = load(tmp_path, INCLUDING, shared__rules="Be bold.")
    assert one.sha256 != other.sha256


def test_the_digest_covers_what_an_include_includes(tmp_path: Path) -> None:
    rules = '{% include "shared/deep.md" %}'
    one = load(tmp_path, INCLUDING, shared__rules=rules, shared__deep="Be careful.")
    other = load(tmp_path, INCLUDING, shared__rules=rules, shared__deep="Be bold.")
    assert one.sha256 != other.sha256


def test_the_digest_does_not_hang_on_the_folder(tmp_path: Path) -> None:
    one = load(tmp_path / "here", INCLUDING, shared__rules="Be careful.")
    other = load(tmp_path / "there", INCLUDING, shared__rules="Be careful.")
    assert one.sha256 == other.sha256


def test_the_digest_covers_the_front_matter(tmp_path: Path) -> None:
    one = load(tmp_path, BODY, "parameters: {temperature: 0}")
    other = load(tmp_path, BODY, "parameters: {temperature: 1}")
    assert one.sha256 != other.sha256


@pytest.mark.parametrize(
    "tag",
    [
        '{% import "shared/rules.md" as rules %}',
        '{% from "shared/rules.md" import rule %}',
        '{% include ["shared/rules.md"] %}',
        '{% include "shared/rules.md" ignore missing %}',
        '{% if false %}{% include "shared/rules.md" %}{% endif %}',
    ],
)
def test_whatever_way_it_is_included_the_digest_covers_it(tmp_path: Path, tag: str) -> None:
    template = load(tmp_path, f"system:\n{tag}\nuser:\nx\n", shared__rules="{% macro rule() %}{% endmacro %}")
    assert "shared/rules.md" in template.sources


@pytest.mark.parametrize(
    "tag",
    [
        "{% include symbol %}",
        '{% include "shared/" ~ symbol %}',
        "{% import name as rules %}{{ rules }}",
        '{% include ["shared/rules.md", symbol] %}',
    ],
)
def test_an_include_whose_name_is_computed_is_refused(tmp_path: Path, tag: str) -> None:
    with pytest.raises(TemplateError, match=r"probe/v1\.md\.j2 includes a template whose name is computed"):
        load(tmp_path, f"system:\n{tag}\nuser:\nx\n", shared__rules="x")


@pytest.mark.parametrize("name", ["../secret.md", "/etc/passwd", "shared/../../secret.md"])
def test_an_include_from_outside_the_folder_is_refused_and_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.md").write_text("secret", encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        load(tmp_path / "inner", f'system:\n{{% include "{name}" %}}\nuser:\nx\n')
    assert caught.value.what == f"probe/v1.md.j2 asks for {name}, outside {tmp_path / 'inner'}."


def test_an_include_that_is_not_there_is_named_with_who_asks(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"^probe/v1\.md\.j2 asks for shared/rules\.md, which cannot be read"):
        load(tmp_path, INCLUDING)


def test_includes_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    template = load(tmp_path, INCLUDING, shared__rules='{% include "probe/v1.md.j2" %}')
    assert set(template.sources) == {"probe/v1.md.j2", "shared/rules.md"}


def test_a_slip_in_an_include_is_refused_when_the_template_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"shared/rules\.md, line 2: "):
        load(tmp_path, INCLUDING, shared__rules="Be careful.\n{{ ")


def test_an_include_with_a_name_beyond_ascii_is_refused_or_covered(tmp_path: Path) -> None:
    try:
        template = load(tmp_path, INCLUDING.replace("rules", "größe"), shared__größe="x")
    except TemplateError:
        return
    assert template.sha256


# Bundles


def test_a_template_survives_the_way_through_its_bundle(tmp_path: Path) -> None:
    template = load(tmp_path, INCLUDING, shared__rules="Be careful.")
    again = Template.from_bundle(template.bundle)
    assert (again.ref, again.sources, again.sha256) == (template.ref, template.sources, template.sha256)


@pytest.mark.parametrize("text", ["", "Decide.\n\n", "行业 \u2028 \x00 \\ é"])
def test_the_bundle_of_what_was_read_from_a_bundle_is_the_same_bytes(text: str) -> None:
    body = f"system:\n{text}\nuser:\nx\n"
    template = Template("probe/v1", {"probe/v1.md.j2": source(body)})
    assert Template.from_bundle(template.bundle).bundle == template.bundle


def test_the_digest_is_that_of_the_bundle() -> None:
    template = Template("probe/v1", {"probe/v1.md.j2": source()})
    assert template.sha256 == canonical.sha256(template.bundle)


def test_a_bundle_is_canonical() -> None:
    assert is_canonical(Template("probe/v1", {"probe/v1.md.j2": source()}).bundle)


def test_a_template_of_a_bundle_needs_no_folder(tmp_path: Path) -> None:
    bundle = load(tmp_path, INCLUDING, shared__rules="Be careful.").bundle
    for file in tmp_path.rglob("*.md*"):
        file.unlink()
    assert Template.from_bundle(bundle).parts[0].template.render().strip() == "Be careful."


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b'{"ref":"probe/v1"}',
        b'{"sources":{}}',
        b'{"ref":"probe/v1","sources":{}}',
        b'{"ref":"probe/v1","sources":[]}',
        b'{"ref":"probe/v1","sources":"x"}',
        b'{"ref":"probe/v1","sources":{"probe/v1.md.j2":1}}',
        b'{"ref":1,"sources":{"probe/v1.md.j2":""}}',
        b'{"ref":"a","ref":"b","sources":{}}',
    ],
)
def test_what_is_no_bundle_is_refused_and_named_by_its_digest(bundle: bytes) -> None:
    with pytest.raises(TemplateError, match=canonical.sha256(bundle)):
        Template.from_bundle(bundle)


def test_a_bundle_of_a_template_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"probe/v1\.md\.j2, line 1"):
        Template.from_bundle(json.dumps({"ref": "probe/v1", "sources": {"probe/v1.md.j2": "x"}}).encode())


# What ships


def test_the_shipped_prompt_can_be_loaded_by_name() -> None:
    template = load_template(asset("prompts"), "position")
    assert (template.front_matter.name, template.front_matter.output) == ("position", "decision")


def test_the_shipped_prompt_says_where_quotes_come_from() -> None:
    (text,) = load_template(asset("prompts"), "position/v1").sources.values()
    assert "Text in double quotes was written by strangers" in text
