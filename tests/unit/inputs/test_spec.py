from __future__ import annotations

import json
import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lab.base.errors import SpecError
from lab.base.words import did_you_mean
from lab.inputs.document import read_document
from lab.inputs.load import default_spec_text, load_spec
from lab.inputs.model import Spec, json_schema
from lab.inputs.release import default_release
from lab.inputs.values import parse_size_mib, size_text

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def load(text: str, tmp_path: Path) -> Spec:
    path = tmp_path / "lab.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path)


def test_everything_has_a_default_but_name_and_release(tmp_path: Path) -> None:
    spec = load("name: compute-101\nrelease: zed\n", tmp_path)
    assert (spec.nodes.controller.memory_mib, spec.nodes.controller.disk_gib) == (3584, 20)
    assert (spec.nodes.compute.count, spec.nodes.compute.memory_mib, spec.nodes.compute.nested) == (1, 1536, "auto")
    assert spec.accelerator == "auto"
    assert spec.networks.management == IPv4Network("10.0.0.0/24")
    assert spec.box.flavour == "installed"
    assert spec.passwords == {}


def test_off_is_a_word_in_yaml_1_2(tmp_path: Path) -> None:
    assert load("name: a\nrelease: zed\nnodes: {compute: {nested: off}}", tmp_path).nodes.compute.nested == "off"


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    assert load("\ufeffname: a\r\nrelease: zed\r\n", tmp_path).name == "a"


def test_anchors(tmp_path: Path) -> None:
    text = "name: a\nrelease: zed\nnodes:\n  controller: {disk: &d 30 GiB}\n  compute: {disk: *d}\n"
    assert load(text, tmp_path).nodes.compute.disk_gib == 30


def test_an_anchor_may_be_used_again(tmp_path: Path) -> None:
    text = "name: a\nrelease: zed\nnodes:\n  controller: {disk: &d 30 GiB}\n  compute: {disk: &d 40 GiB}\n"
    assert load(text, tmp_path).nodes.compute.disk_gib == 40


@pytest.mark.parametrize("text", ["!!int ''", "!!timestamp x", "!!float ''", "!!bool maybe"])
def test_a_value_that_is_not_what_its_tag_says(text: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        load(f"name: a\nrelease: zed\nnodes: {{compute: {{count: {text}}}}}\n", tmp_path)


def test_a_tag_on_the_whole(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="1 problem") as caught:
        load("!lab\nname: a\nrelease: zed\n", tmp_path)
    assert "found the tag !lab" in str(caught.value)


def test_pool(tmp_path: Path) -> None:
    spec = load("name: a\nrelease: zed\nnetworks: {provider_pool: 203.0.113.20 - 203.0.113.30}", tmp_path)
    assert spec.networks.provider_pool == (IPv4Address("203.0.113.20"), IPv4Address("203.0.113.30"))


def test_a_spec_does_not_change() -> None:
    spec = Spec(name="a", release="zed")
    with pytest.raises(ValidationError):
        spec.name = "b"  # type: ignore[misc]


def test_no_password_in_repr() -> None:
    assert "hunter2" not in repr(Spec(name="a", release="zed", passwords={"ADMIN_PASS": "hunter2hunter2"}))


@pytest.mark.parametrize(
    ("text", "mib"),
    [("5 GiB", 5120), ("5GiB", 5120), ("6144 MiB", 6144), ("2.5 GiB", 2560), (" 1 TiB ", 1048576), ("0.5 GiB", 512)],
)
def test_sizes(text: str, mib: int) -> None:
    assert parse_size_mib(text) == mib


@pytest.mark.parametrize(
    "text", ["6 GB", "6", "6 gib", "-1 GiB", "GiB", "1e3 MiB", "5  GiB", "", "1 KiB", "0.0001 MiB"]
)
def test_not_sizes(text: str) -> None:
    with pytest.raises(Exception, match="size as|whole number"):
        parse_size_mib(text)


@pytest.mark.parametrize(("mib", "text"), [(5120, "5 GiB"), (3584, "3.5 GiB"), (6400, "6400 MiB"), (1048576, "1 TiB")])
def test_size_text(mib: int, text: str) -> None:
    assert size_text(mib) == text
    assert parse_size_mib(text) == mib


def test_a_problem_names_its_line_and_path(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load("name: a\nrelease: zed\nnodes:\n  compute:\n\n    count: 17\n", tmp_path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (6, "nodes.compute.count")


def test_problems_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load("name: A\nrelease: zed\naccelerator: x\nnodes: {compute: {count: 0}}\n", tmp_path)
    assert [problem.line for problem in caught.value.problems] == [1, 3, 4]


def test_a_wrong_network_is_not_also_blamed_for_overlapping(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load("name: a\nrelease: zed\nnetworks: {management: 10.0.0.1/24, provider: 10.0.0.0/24}\n", tmp_path)
    assert [problem.path for problem in caught.value.problems] == ["networks.management"]


@pytest.mark.parametrize(
    "value", ["hunter2", "hunter2 hunter2", "[hunter2hunter2]", "{a: hunter2hunter2}", "'hunter2\"hunter2'"]
)
def test_no_message_shows_a_password(value: str, tmp_path: Path) -> None:
    for key in ("passwords: {ADMIN_PASS: %s}", "password: {ADMIN_PASS: %s}", "passwords: %s", "passwords: [%s]"):
        with pytest.raises(SpecError) as caught:
            load(f"name: a\nrelease: zed\n{key % value}\n", tmp_path)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "hint"),
    [("relese", "did you mean `release`?"), ("RELEASE", "did you mean `release`?"), ("xyz", ""), ("", "")],
)
def test_did_you_mean(word: str, hint: str) -> None:
    assert did_you_mean(word, ["release", "name"]) == hint


def test_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: [1, 2.5, true, ~, x]\nb: {c: 0x10}\nd: 2020-13-45\n")
    document = read_document(path, missing="", top="")
    assert document.data == {"a": [1, 2.5, True, None, "x"], "b": {"c": 16}, "d": "2020-13-45"}
    assert document.line_of(("b", "c")) == 2
    assert document.line_of(("b", "no", "such")) == 2
    assert document.line_of(("no",)) == 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_good(path: Path) -> None:
    assert load_spec(path).release


def test_everything_example_has_every_key() -> None:
    spec = load_spec(ROOT / "examples" / "everything.yaml")
    assert _unset(spec) == []


def _unset(model: Any, prefix: str = "") -> list[str]:
    missing = [prefix + name for name in type(model).model_fields if name not in model.model_fields_set]
    for name in model.model_fields_set:
        value = getattr(model, name)
        if hasattr(value, "model_fields_set"):
            missing += _unset(value, f"{prefix}{name}.")
    return missing


def test_default_text_is_a_good_spec(tmp_path: Path) -> None:
    assert load(default_spec_text("demo"), tmp_path) == Spec(name="demo", release=default_release())


def test_default_text_shows_the_defaults(tmp_path: Path) -> None:
    examples = r"url:|sha256:|mirror:|provider_pool:|passwords:|ADMIN_PASS:"  # keys whose default is nothing
    lines = [line for line in default_spec_text("demo").splitlines() if not re.match(rf"^# *({examples})", line)]
    spec = load("\n".join(re.sub(r"^# (?=\s*[a-z_]+:)", "", line) for line in lines), tmp_path)
    assert spec == Spec(name="demo", release=default_release())
    assert {"nodes", "accelerator", "networks", "box", "chapters"} <= spec.model_fields_set
    assert {"count", "cpus", "memory_mib", "disk_gib", "nested"} == spec.nodes.compute.model_fields_set


def test_a_field_is_written_by_its_key_alone(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load("name: demo\nrelease: zed\nnodes: {controller: {memory_mib: 6 GiB}}\n", tmp_path)
    (problem,) = caught.value.problems
    assert problem.found == "the unknown key 'memory_mib'"
    assert problem.hint == "did you mean `memory`?"


def test_published_schema_is_the_models() -> None:
    published = (ROOT / "docs" / "lab.schema.json").read_text(encoding="utf-8")
    assert published == json.dumps(json_schema(), indent=2) + "\n", "`lab schema > docs/lab.schema.json` writes it"


def test_schema_describes_every_key() -> None:
    schema = json_schema()
    for name, model in {"Spec": schema, **schema["$defs"]}.items():
        assert model["additionalProperties"] is False, name
        for key, value in model["properties"].items():
            assert value.get("description") or "$ref" in value, f"{name}.{key}"
