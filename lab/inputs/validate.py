"""From pydantic's errors to problems that a reader of the file understands."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from lab.base.words import did_you_mean
from lab.inputs.document import Document, Loc, kind_of, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

ModelT = TypeVar("ModelT", bound=BaseModel)

_KINDS = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def validate(
    model: type[ModelT],
    document: Document,
    *,
    hidden: tuple[str, ...] = (),
    stand_in: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[ModelT | None, set[Loc]]:
    """Validate a document's data, keeping every problem in the document.

    Args:
        hidden: keys of the top level whose values no message may show.
        stand_in: what takes the place of wrong values that have no default, so that the rest can be judged.

    Returns:
        the value made of what is right (None where nothing can be), and the places that are wrong.
    """
    wrong: set[Loc] = set()
    data = document.data
    try:
        return model.model_validate(data), wrong
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            loc = _existing(detail["loc"], data)
            if loc not in document.unusable:
                _keep(model, document, loc, detail, hidden)
            wrong.add(loc)
    try:
        return model.model_validate({**stand_in, **_without(data, wrong, ())}), wrong
    except ValidationError:
        return None, wrong


def _existing(loc: tuple[int | str, ...], data: Any) -> Loc:
    """Drop the parts that pydantic adds for a member of a union or for a key ('[key]')."""
    kept: list[str | int] = []
    for index, part in enumerate(loc):
        if isinstance(data, dict) and isinstance(part, str):
            if part not in data and index < len(loc) - 1:
                continue
            kept.append(part)
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int):
            kept.append(part)
            data = data[part] if part < len(data) else None
    return tuple(kept)


def _keep(model: type[BaseModel], document: Document, loc: Loc, detail: ErrorDetails, hidden: tuple[str, ...]) -> None:
    kind, context = detail["type"], detail.get("ctx", {})
    value = _at(document.data, loc, detail["input"])
    found = kind_of(value) if loc and loc[0] in hidden else shown(value)
    if kind == "missing":
        document.problem(loc, "nothing", _description(model, loc), "this key has no default")
    elif kind == "extra_forbidden":
        known = sorted(_fields(model, loc[:-1]))
        hint = did_you_mean(str(loc[-1]), known)
        document.problem(loc, f"the unknown key '{loc[-1]}'", f"one of: {', '.join(known)}", hint)
    elif kind == "spec":
        document.problem(loc, context["found"] or found, context["expected"], context["hint"])
    elif kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", context["expected"])
        hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
        hint = hint or ("YAML reads this as false: write 'off'" if value is False and "off" in allowed else "")
        document.problem(loc, found, f"one of: {', '.join(allowed)}", hint)
    elif kind in ("greater_than_equal", "greater_than", "less_than_equal", "less_than"):
        word = {"g": "at least", "l": "at most"}[kind[0]]
        bound = context.get("ge", context.get("le", context.get("gt", context.get("lt"))))
        word = {"greater_than": "more than", "less_than": "less than"}.get(kind, word)
        document.problem(loc, found, f"{word} {bound}")
    elif kind in _KINDS and value is None and (field := _field(model, loc)) is not None:
        expected = _description(model, loc) if field.is_required() else _KINDS[kind]
        document.problem(loc, found, expected, "" if field.is_required() else "remove the key to get the default")
    elif kind in _KINDS:
        document.problem(loc, found, _KINDS[kind], _type_hint(kind, value))
    else:
        document.problem(loc, found, detail["msg"][:1].lower() + detail["msg"][1:])


def _at(data: Any, loc: Loc, default: Any) -> Any:
    """Give the value that the file has at a place; pydantic's own may have been converted already."""
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return default
    return data


def _type_hint(kind: str, value: object) -> str:
    if kind.startswith("int") and isinstance(value, str) and value.strip().isdigit():
        return "without quotes"
    if kind == "string_type" and isinstance(value, int | float | bool):
        return "put it in quotes"
    if kind in ("tuple_type", "list_type") and isinstance(value, str):
        return "write it as a list: [...]"
    return ""


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    """Give the fields by the keys that a user writes: `memory` of memory_mib."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _field(model: type[BaseModel], loc: Loc) -> Any:
    """Find the pydantic field that a place belongs to; None where it is inside a list or a free mapping."""
    field = None
    for part in loc:
        field = _keys(model).get(str(part))
        if field is None:
            return None
        model = _model_of(field.annotation)
    return field


def _model_of(annotation: Any) -> type[BaseModel]:
    """Find the model in an annotation as `X`, `X | None`, `tuple[X, ...]` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _model_of(argument)) is not BaseModel:
            return found
    return BaseModel


def _fields(model: type[BaseModel], loc: Loc) -> list[str]:
    """List the keys that a mapping at this place may have."""
    for part in loc:
        field = _keys(model).get(str(part))
        if field is not None:
            model = _model_of(field.annotation)
    return list(_keys(model))


def _description(model: type[BaseModel], loc: Loc) -> str:
    field = _field(model, loc)
    text = field.description if field is not None and field.description else ""
    return text[:1].lower() + text[1:].rstrip(".") if text else f"`{loc[-1]}`"


def _without(data: Any, wrong: set[Loc], here: Loc) -> Any:
    """Copy data without the wrong places, so that the rest can be judged too."""
    if isinstance(data, dict):
        return {key: _without(value, wrong, (*here, key)) for key, value in data.items() if (*here, key) not in wrong}
    if isinstance(data, list):
        return [_without(v, wrong, (*here, i)) for i, v in enumerate(data) if (*here, i) not in wrong]
    return data
