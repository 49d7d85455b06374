"""config.toml and the environment, read strictly: a mistake is refused, never guessed round."""

import difflib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import eq
from typing import Any, TypeAlias

from attrs import evolve, fields
from cattrs import Converter
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError

from pylon.config.keys import BadValue
from pylon.config.sections import Config
from pylon.errors import Misconfigured

Path: TypeAlias = tuple[str, ...]  # (section,) or (section, key)

_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)\Z")
_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")


class _WrongType(TypeError):
    """A value of another type than its key's."""


def parse(text: str, *, source: str, environ: Mapping[str, str] | None = None) -> Config:
    """Read a configuration, the environment over the file over the defaults.

    `source` is the file's name, for messages. Raises `Misconfigured`, in one line that names the
    file and line, or the variable, and the nearest right key.
    """
    config = _from_file(text, source)
    return _with_environment(config, environ or {})


def _from_file(text: str, source: str) -> Config:
    try:
        document = tomllib.loads(text)
        return _converter.structure(document, Config)
    except tomllib.TOMLDecodeError as exc:
        raise Misconfigured(f"{source}:{_syntax_mistake(str(exc), text)}") from exc
    except ClassValidationError as exc:
        path, why = next(_mistakes(exc, ()))
        raise Misconfigured(f"{source}:{_line_of(path, text)}: {why}") from exc


def _syntax_mistake(message: str, text: str) -> str:
    place = _SYNTAX_PLACE.search(message)
    line = (place and place[1]) or len(text.splitlines())
    return f"{line}: not TOML: {_SYNTAX_PLACE.sub('', message)}"


# --- what is wrong, and where


def _mistakes(group: ClassValidationError, above: Path) -> Iterator[tuple[Path, str]]:
    named, others = group.group_exceptions()
    for exc, note in named:
        path = (*above, note.name)
        if isinstance(exc, ClassValidationError):
            yield from _mistakes(exc, path)
        elif isinstance(exc, _WrongType):
            yield path, f"{'.'.join(path)}: {exc}"
        else:  # cattrs could not look inside what should have been a section
            yield path, f"{note.name} is a section: write [{note.name}] above its keys"
    for exc in others:
        if isinstance(exc, ForbiddenExtraKeysError):
            yield from ((path := (*above, name), _unknown(path)) for name in exc.extra_fields)
        elif isinstance(exc, BadValue):
            yield (*above, exc.key), f"{'.'.join((*above, exc.key))}: {exc}"
        else:
            raise exc


def _unknown(path: Path) -> str:
    wrong = ".".join(path)
    siblings = [known for known in _ALL_PATHS if known[:-1] == path[:-1]]
    nearest = _nearest(path[-1], siblings) or _nearest(path[-1], _ALL_PATHS)
    if nearest:
        return f"unknown key {wrong}; did you mean {nearest}?"
    known = ", ".join(known[-1] for known in siblings)
    return f"unknown key {wrong}; known here: {known}"


def _nearest(name: str, paths: list[Path]) -> str | None:
    by_last = {path[-1]: path for path in reversed(paths)}
    found = difflib.get_close_matches(name, by_last, n=1)
    return ".".join(by_last[found[0]]) if found else None


def _line_of(path: Path, text: str) -> int:
    """Find the line that sets `path`, or failing that the closest thing above it."""
    best, best_line = 0, 1
    section: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            here = section = _split(header[1])
        elif found := _KEY.match(line):
            here = (*section, *_split(found[1]))
        else:
            continue
        if best < len(here) and here == path[: len(here)]:
            best, best_line = len(here), number
    return best_line


def _split(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


# --- values


def _exactly(wanted: type, words: str) -> Callable[[Any, Any], Any]:
    def structure(value: object, _: object) -> object:
        if type(value) is wanted:
            return value
        raise _WrongType(f"must be {words}, not {_shown(value)}")

    return structure


def _number(value: object, _: object) -> float:
    if type(value) in (int, float):
        return float(str(value))
    raise _WrongType(f"must be a number, not {_shown(value)}")


def _list_of(member: type, words: str) -> Callable[[Any, Any], tuple[Any, ...]]:
    def structure(value: object, _: object) -> tuple[Any, ...]:
        if type(value) is list and all(type(item) is member for item in value):
            return tuple(value)
        raise _WrongType(f"must be a list of {words}, not {_shown(value)}")

    return structure


def _percentages(value: object, _: object) -> dict[str, int]:
    if isinstance(value, dict) and all(type(item) is int for item in value.values()):
        return value
    raise _WrongType(f"must be a table of whole numbers, not {_shown(value)}")


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004 - fits in one line


_HOOKS: dict[Any, Callable[[Any, Any], Any]] = {
    bool: _exactly(bool, "true or false"),
    int: _exactly(int, "a whole number"),
    str: _exactly(str, "text in quotes"),
    float: _number,
    tuple[str, ...]: _list_of(str, "texts"),
    tuple[int, ...]: _list_of(int, "whole numbers"),
    Mapping[str, int]: _percentages,
}


def _strict_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for wanted, structure in _HOOKS.items():
        if isinstance(wanted, type):
            converter.register_structure_hook(wanted, structure)
        else:
            converter.register_structure_hook_func(partial(eq, wanted), structure)
    return converter


_converter = _strict_converter()


# --- the environment


def _with_environment(config: Config, environ: Mapping[str, str]) -> Config:
    for (section, key), names in variables().items():
        for name in names:
            if name in environ:
                config = _override(config, section, key, name=name, text=environ[name])
    return config


def variables() -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the variables that override each (section, key); a later one wins."""
    return {
        (section, key): (
            *((f"PYLON_{key}".upper(),) if _times(key) == 1 else ()),
            *((fixed,) if (fixed := _field(section, key).metadata["variable"]) else ()),
            f"PYLON_{section}_{key}".upper(),
        )
        for section, key in _KEYS
    }


def _override(config: Config, section: str, key: str, *, name: str, text: str) -> Config:
    declared = _field(section, key)
    try:
        value = _converter.structure(_from_words(text, declared.type), declared.type)
        changed = evolve(getattr(config, section), **{key: value})
    except (_WrongType, BadValue) as exc:
        raise Misconfigured(f"{name}: {exc}") from exc
    return evolve(config, **{section: changed})


def _from_words(text: str, wanted: Any) -> object:
    """Read a variable as its key would be written in TOML; a list may be plain `a,b,c`."""
    if wanted is str:
        return text
    if wanted == tuple[str, ...] and not text.startswith("["):
        return [word.strip() for word in text.split(",") if word.strip()]
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        document = {}
    # What is not one TOML value stays text, and is refused in the words of the type it should have.
    return document["value"] if len(document) == 1 else text


def _field(section: str, key: str) -> Any:
    return getattr(fields(_SECTIONS[section]), key)


def _times(key: str) -> int:
    return sum(other == key for _, other in _KEYS)


_SECTIONS: dict[str, Any] = {section.name: section.type for section in fields(Config)}
_KEYS = [(name, key.name) for name, section in _SECTIONS.items() for key in fields(section)]
_ALL_PATHS: list[Path] = [*_KEYS, *((name,) for name in _SECTIONS)]
