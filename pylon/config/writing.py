"""The commented config.toml that `pylon init` writes."""

import json
import re
from collections.abc import Mapping
from typing import Any

from attrs import Attribute, fields

from pylon.config.sections import Config

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")

_HEAD = """\
# What this node may be told. Each key is shown with its default;
# remove the # before a key to change it.
# PYLON_<SECTION>_<KEY> in the environment overrides a key, and so does
# PYLON_<KEY> where no other section has a key of that name.
"""


def render(config: Config) -> str:
    """Write every key with its comment; those that keep their default are commented out."""
    parts = [_HEAD]
    for section in fields(Config):
        values = getattr(config, section.name)
        parts.append(f"\n[{section.name}]\n# {_first_line(values)}\n")
        defaults = type(values)()
        parts += [
            _entry(key, getattr(values, key.name), getattr(defaults, key.name))
            for key in fields(type(values))
        ]
    return "".join(parts)


def _first_line(section: object) -> str:
    return (type(section).__doc__ or "").strip().splitlines()[0]


def _entry(key: "Attribute[Any]", value: object, default: object) -> str:
    mark = "#" if value == default else ""
    return f"\n# {key.metadata['comment']}\n{mark}{key.name} = {literal(value)}\n"


def literal(value: object) -> str:
    """Write a value as TOML, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _quoted(value)
        case Mapping():
            pairs = (f"{_key(name)} = {literal(item)}" for name, item in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case tuple():
            return f"[{', '.join(literal(item) for item in value)}]"
        case _:
            raise TypeError(f"TOML has no word for {type(value).__name__}")


def _key(name: str) -> str:
    return name if _BARE_KEY.match(name) else _quoted(name)


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped and JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
