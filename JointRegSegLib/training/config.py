"""Configurations in TOML, each row of an ablation a few lines upon another file."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomllib

from ..job import Code, JobError
from .ranges import Range

Config = TypeVar("Config")


def read_config(path: Path, schema: type[Config], presets: Mapping[str, Path] = types.MappingProxyType({})) -> Config:
    """The configuration in a TOML file, as a dataclass whose fields are values or sections (dataclasses again).

    `base = "other.toml"`, relative to the file, or the name of one of the presets, is read first; the file's own values
    replace the base's key by key.

    Raises `JobError`: FILE_MISSING; REQUEST_INVALID for text that is no TOML, a key that the schema does not know, a
    value of another kind or beyond its `ranges.Range`, a missing value, a base that is neither a .toml file nor a
    preset, or files that are each other's base.
    """
    return build(schema, _merged(Path(path), presets, ()), str(path))


def build(schema: type[Config], values: dict[str, Any], source: str) -> Config:
    """A dataclass of the values of `source`; `JobError` REQUEST_INVALID names the key that is wrong."""
    return _section(schema, values, source, "")


def _merged(path: Path, presets: Mapping[str, Path], above: tuple[Path, ...]) -> dict[str, Any]:
    path = path.resolve()
    if path in above:
        raise _invalid(str(path), "it is its own base")
    if not path.is_file():
        raise JobError(Code.FILE_MISSING, f"There is no configuration {path}.", "Check the path.")
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise _invalid(str(path), str(problem)) from problem
    base = own.pop("base", None)
    if not isinstance(base, str | None):
        raise _invalid(str(path), f"base is {base!r}, not str")
    if base is None:
        return own
    if base not in presets and not base.endswith(".toml"):
        known = f"one of {', '.join(presets)} or " if presets else ""
        raise _invalid(str(path), f"base is {base!r}, not {known}a .toml file")
    return _over(_merged(presets.get(base, path.parent / base), presets, (*above, path)), own)


def _over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The base's values, replaced by a file's own, table by table."""
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def _section(schema: Any, values: Any, source: str, where: str) -> Any:
    if not isinstance(values, dict):
        raise _invalid(source, f"{where} is no section")
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
    prefix = f"{where}." if where else ""
    for key in values:
        if key not in fields:
            raise _invalid(source, f"{prefix}{key} is unknown; there are {', '.join(fields)}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise _invalid(source, f"{prefix}{name} is missing")
    kinds = get_type_hints(schema, include_extras=True)
    return schema(**{key: _value(kinds[key], value, source, f"{prefix}{key}") for key, value in values.items()})


def _value(kind: Any, value: Any, source: str, where: str) -> Any:
    """The value as the kind that a dataclass's field has."""
    if dataclasses.is_dataclass(kind):
        return _section(kind, value, source, where)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        value = _value(inner[0], value, source, where)
        for range_ in inner[1:]:
            if isinstance(range_, Range) and not range_.holds(value):
                raise _invalid(source, f"{where} is {value!r}, not {range_.words}")
        return value
    if origin in (Union, types.UnionType):  # a value or None, which the card of a model can say and TOML cannot
        return None if value is None else _value(next(k for k in inner if k is not type(None)), value, source, where)
    if origin is Literal and value in inner:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) == len(value):
            return tuple(_value(k, v, source, where) for k, v in zip(kinds, value, strict=True))
    if origin is dict and isinstance(value, dict):
        return {key: _value(inner[1], item, source, f"{where}.{key}") for key, item in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is kind:  # not isinstance: true is no number
        return value
    raise _invalid(source, f"{where} is {value!r}, not {_words(kind)}")


def _words(kind: Any) -> str:
    """What a value of this kind is, for people."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return "a list" if inner[-1] is Ellipsis else f"a list of {len(inner)}"
    return str(getattr(kind, "__name__", kind))


def _invalid(source: str, what: str) -> JobError:
    return JobError(Code.REQUEST_INVALID, f"The configuration {source} cannot be read: {what}.", "Mend that line.")
