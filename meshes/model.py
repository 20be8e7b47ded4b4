"""The base of every plan model, its number types, and pydantic's errors retold as problems.

Models are frozen and refuse unknown keys. A validator that finds something wrong raises `refuse(field, expected, got)`,
with the field relative to its own model; `problems_of` puts the full path in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Annotated, Any, NoReturn

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from .errors import Problem, one_of


class Model(BaseModel):
    """Frozen, finite numbers only, and an unknown key is an error that suggests the nearest one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    refuse(
                        str(key),
                        f"{one_of(cls.model_fields, str(key))}",
                        f"the unknown key {key!r}",
                    )
        return data


def refuse(field: str, expected: str, got: Any) -> NoReturn:
    """Raise from within a validator: `field` is relative to the model being validated ('' for the model itself)."""
    raise PydanticCustomError(
        "porefield",
        "expected {expected}; got {got}",
        {"field": field, "expected": expected, "got": str(got)},
    )


LARGEST = 1e12
"""Numbers in a plan are at most so large: far beyond any quantity in its units, while products of several of them stay
finite."""


def _plain_number(value: Any) -> Any:
    if isinstance(value, bool):
        refuse("", "a number", value)
    if isinstance(value, int | float) and LARGEST < abs(value) < inf:
        refuse("", f"a number between {-LARGEST:g} and {LARGEST:g}", shown(value))
    return value


Number = Annotated[float, BeforeValidator(_plain_number)]
Positive = Annotated[float, Field(gt=0), BeforeValidator(_plain_number)]
NotNegative = Annotated[float, Field(ge=0), BeforeValidator(_plain_number)]
Vector = tuple[Number, Number, Number]
Size = tuple[Positive, Positive, Positive]
LONGEST = 80
"""Characters of a name."""
Name = Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=r"^[^\s/\\]([^/\\]*[^\s/\\])?$")]
"""A name that can stand in a path, a table and a legend: no slashes, no blanks at its ends."""


def exactly_one(model: BaseModel, fields: Sequence[str], field: str = "") -> None:
    """Refuse a model that does not set exactly one of `fields`."""
    given = [name for name in fields if getattr(model, name) is not None]
    if len(given) != 1:
        refuse(
            field,
            f"exactly one of {', '.join(fields)}",
            " and ".join(given) or "none of them",
        )


_EXPECTED = {
    "missing": "a value",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "finite_number": "a finite number",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table of keys and values",
    "model_type": "a table of keys and values",
    "model_attributes_type": "a table of keys and values",
}


def problems_of(error: ValidationError, data: Any) -> list[Problem]:
    """Pydantic's errors about `data` as problems with dotted paths, without those that only follow from others."""
    kinds = [(details["type"], _problem(details, data)) for details in error.errors(include_url=False)]
    fields = {problem.field for _, problem in kinds}
    kept: dict[Problem, None] = {}
    for kind, problem in kinds:
        follows = kind == "too_short" and any(field.startswith(f"{problem.field}[") for field in fields)
        if not follows:
            kept[problem] = None
    return list(kept)


def _problem(details: ErrorDetails, data: Any) -> Problem:
    kind, context = details["type"], details.get("ctx", {})
    path = _path(details["loc"], data, missing=kind in ("missing", "too_short"))
    if kind == "porefield":
        return Problem(_join(path, context["field"]), context["expected"], context["got"])
    got = "nothing" if kind == "missing" else shown(details["input"])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = str(context["discriminator"]).strip("'")
        given = details["input"].get(tag) if isinstance(details["input"], Mapping) else details["input"]
        tags = [t.strip().strip("'") for t in str(context.get("expected_tags", "")).split(",") if t.strip()]
        expected = one_of(tags, str(given)) if tags else "the name of a law"
        return Problem(_join(path, tag), expected, "nothing" if given is None else shown(given))
    if kind == "too_short":
        return Problem(path, f"at least {context['min_length']} of them", str(context["actual_length"]))
    return Problem(path or "plan", _EXPECTED.get(kind, _in_words(details["msg"])), got)


def _in_words(message: str) -> str:
    for start in ("Input should be ", "Input should "):
        if message.startswith(start):
            return message[len(start) :]
    return message[0].lower() + message[1:]


def _path(loc: tuple[int | str, ...], data: Any, *, missing: bool) -> str:
    """The dotted path; names of union branches, which pydantic puts into `loc`, are in no table and are left out."""
    path, here = "", data
    for i, step in enumerate(loc):
        if isinstance(here, Mapping):
            if step in here:
                here = here[step]
            elif not (missing and i == len(loc) - 1):
                continue
            path = _join(path, str(step))
        elif isinstance(step, int) and isinstance(here, Sequence) and not isinstance(here, str):
            here = here[step] if step < len(here) else None
            path = f"{path}[{step}]"
    return path


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path and field and not field.startswith("[") else path + field


def shown(value: Any, limit: int = 120) -> str:
    """A value as it stands in a message."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 4] + " ..."
