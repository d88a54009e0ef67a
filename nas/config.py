"""Options from a YAML file and from `--a.b value` pairs, one-to-one with the dataclasses of the Python API."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from search_spaces.errors import InputError, invalid, unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Leaf:
    """One option that takes a value: where it stands, what it may be, and what it means.

    Attributes:
        path: names from the outermost dataclass inwards.
        type: its annotation, without None.
        default: as it is when nothing is said; None if it must be given.
        description: one line.
        required: whether it must be given.
        shorthand: whether it may also be given under its parent's name.
        flag: a name under which it may be given anywhere, from the field's `json_schema_extra`.
        positional: whether it is all that stands after the other options.
        documents: whether of a directory nothing is wanted but its own JSON documents.
    """

    path: tuple[str, ...]
    type: Any
    default: Any
    description: str
    required: bool
    shorthand: bool
    flag: str | None = None
    positional: bool = False
    documents: bool = False


POSITIONAL: JsonDict = {"positional": True}
"""Of a field: `Field(json_schema_extra=POSITIONAL)`."""

DOCUMENTS: JsonDict = {"documents": True}
"""Of a field that is a directory, of which nothing is wanted but its own JSON documents."""


_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""In words, by the names that pydantic's fields have for them."""


def leaves(options_type: type[Any], prefix: tuple[str, ...] = (), inherited: Any = None) -> Iterator[Leaf]:
    """Yield the options of a dataclass and of those inside it.

    Args:
        options_type: the dataclass.
        prefix: names that lead to it.
        inherited: an instance whose values are the defaults, where the dataclass that holds this one says so.
    """
    hints = typing.get_type_hints(options_type)
    for position, field in enumerate(dataclasses.fields(options_type)):
        inner, path = without_none(hints[field.name]), (*prefix, field.name)
        default = _default(field, inherited)
        if _is_options(inner):
            held = leaves(inner, path, default)
            yield from (dataclasses.replace(leaf, required=False) for leaf in held) if default is None else held
            continue
        extra = field.default.json_schema_extra if isinstance(field.default, FieldInfo) else None
        required = default is dataclasses.MISSING
        shorthand = position == 0 and bool(prefix) and inner is str
        flag = str(extra["flag"]) if isinstance(extra, dict) and "flag" in extra else None
        shown = None if required else default
        kinds = (extra == POSITIONAL, extra == DOCUMENTS)
        yield Leaf(path, inner, shown, meaning(field), required, shorthand, flag, *kinds)


def meaning(field: "dataclasses.Field[Any]") -> str:
    """Return what an option means, and the bounds of its value: 'epochs of training (at least 1)'."""
    if not isinstance(field.default, FieldInfo):
        return ""
    bounds = [
        f"{words} {getattr(bound, name)}"
        for bound in field.default.metadata
        for name, words in _BOUNDS.items()
        if hasattr(bound, name)
    ]
    told = field.default.description or ""
    return f"{told} ({', '.join(bounds)})".strip() if bounds else told


def _default(field: "dataclasses.Field[Any]", inherited: Any) -> Any:
    """Return what an option is if nothing is said; MISSING if it must be given."""
    if dataclasses.is_dataclass(inherited):
        return getattr(inherited, field.name)
    if isinstance(field.default, FieldInfo):
        return (
            dataclasses.MISSING if field.default.is_required() else field.default.get_default(call_default_factory=True)
        )
    return field.default


def said(options: Any) -> dict[str, Any]:
    """Return, by name, the options of a dataclass that are not what they are if nothing is said."""
    values = {field: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {field.name: value for field, value in values.items() if value != _default(field, None)}


def flag(path: Sequence[str], negation: str = "") -> str:
    """Return how an option is typed: '--search.n-front'."""
    *parents, name = (part.replace("_", "-") for part in path)
    return "--" + ".".join([*parents, negation + name])


def require_unsaid(options: Any, names: Iterable[str], wanted: str, *, of: Sequence[str] | None = ()) -> None:
    """Raise if any of some options says anything, where that would do nothing.

    Args:
        options: the dataclass that holds them.
        names: of the options.
        wanted: without what they do nothing, in words.
        of: names that lead to the dataclass from a verb's; None where its options are no flags.

    Raises:
        InputError: names the first of them, as it is typed, and a number or text that it says.
    """
    found = said(options)
    for name in names:
        if name in found:
            value, typed = found[name], name if of is None else flag((*of, name))
            told = f"{typed} {value}" if isinstance(value, int | float | str) and value is not True else typed
            raise InputError(f"{told} does nothing without {wanted}: leave it out")


def _is_options(annotation: Any) -> bool:
    return dataclasses.is_dataclass(annotation) and isinstance(annotation, type)


def without_none(annotation: Any) -> Any:
    """Return `X` for `X | None`, and the annotation itself otherwise."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not types.NoneType]
        return members[0] if len(members) == 1 else annotation
    return annotation


def build(options_type: type[T], document: Mapping[str, Any]) -> T:
    """Return the options that a nested mapping describes.

    A plain value where a dataclass is expected means that dataclass's first option, if it is text: `data: digits`.
    Where a dataclass holds another with defaults of its own choosing, what is not said stays as chosen there.

    Raises:
        InputError: an unknown name (with close ones), a missing option, or a value out of range.
    """
    try:
        return TypeAdapter(options_type).validate_python(_complete(options_type, expand(options_type, document), None))
    except ValidationError as error:
        raise invalid("option", error, flag) from None


def expand(options_type: type[Any], document: Any, path: str = "") -> dict[str, Any]:
    """Return the nested mapping with each plain value that stands for a dataclass written out.

    Raises:
        InputError: a name that no dataclass has, or a plain value for a dataclass that does not begin with text.
    """
    hints = typing.get_type_hints(options_type)
    names = [field.name for field in dataclasses.fields(options_type)]
    if not isinstance(document, Mapping):
        if without_none(hints[names[0]]) is not str:
            raise InputError(f"option {path} {document!r}: expected a mapping of {', '.join(names)}")
        document = {names[0]: document}
    expanded = {}
    for name, value in document.items():
        if name not in names:
            raise unknown(f"option in {path}" if path else "option", name, names)
        inner = without_none(hints[name])
        if _is_options(inner):
            value = expand(inner, {} if value is None else value, f"{path}.{name}".strip("."))
        expanded[name] = value
    return expanded


def _complete(options_type: type[Any], expanded: Mapping[str, Any], inherited: Any) -> dict[str, Any]:
    """Return the mapping with what is not said as the dataclass that holds this one has chosen it."""
    hints = typing.get_type_hints(options_type)
    completed = {}
    for field in dataclasses.fields(options_type):
        default, inner = _default(field, inherited), without_none(hints[field.name])
        if isinstance(expanded.get(field.name), Mapping) and _is_options(inner):
            completed[field.name] = _complete(inner, expanded[field.name], default)
        elif field.name in expanded or default is not dataclasses.MISSING:
            completed[field.name] = expanded.get(field.name, default)
    return completed


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        InputError: the file is missing, or holds no mapping.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"config {path} does not exist") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"config {path} is not readable YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise InputError(f"config {path} holds {type(document).__name__}, expected a mapping of options")
    return document


def override(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set one value in an expanded mapping, in place; a mapping is merged into what is there."""
    *parents, name = path
    for parent in parents:
        document[parent] = document = document.get(parent) or {}
    if isinstance(value, dict):
        value = (document.get(name) or {}) | value
    document[name] = value
