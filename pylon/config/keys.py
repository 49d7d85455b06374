"""How a configuration key is declared: its default, its comment, its limits, all in one line."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from attrs import Attribute, Factory, field

T = TypeVar("T")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
Check = Callable[[Any], str | None]  # says what is wrong with a value, None when nothing is


class BadValue(ValueError):
    """A value of the right type that cannot work. `key` is its name inside the section."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


def key(default: T, comment: str, check: Check | None = None, *, variable: str = "") -> T:
    """Declare a key of a section.

    `comment` is written above it in config.toml; `variable` is a fixed environment variable beside
    the two that follow from its name.
    """
    fresh = Factory(lambda: dict(default)) if isinstance(default, Mapping) else default
    return cast(
        "T",
        field(
            default=fresh,
            metadata={"comment": comment, "variable": variable},
            validator=_validator(check) if check else None,
        ),
    )


def _validator(check: Check) -> Callable[[Any, "Attribute[Any]", Any], None]:
    def validate(_: object, attribute: "Attribute[Any]", value: object) -> None:
        if why := check(value):
            raise BadValue(attribute.name, why)

    return validate


def between(low: float, high: float) -> Check:
    """Accept numbers from `low` to `high`."""
    return lambda value: None if low <= value <= high else f"must be from {low:g} to {high:g}"


def one_of(*words: str) -> Check:
    """Accept these words only."""
    return lambda value: None if value in words else f"must be one of {', '.join(words)}"


def each(check: Check) -> Check:
    """Apply a check to every member of a list, or every value of a table."""

    def check_all(values: Iterable[Any]) -> str | None:
        members = values.values() if isinstance(values, Mapping) else values
        found = [f"{member} {why}" for member in members if (why := check(member))]
        return found[0] if found else None

    return check_all


def address(*schemes: str, empty: bool = False) -> Check:
    """Accept addresses of these schemes; the empty string too, where it means something."""
    starts = tuple(f"{scheme}://" for scheme in schemes)
    must = f"must start with {' or '.join(starts)}"
    return lambda value: None if value.startswith(starts) or (empty and not value) else must


def guarded_address(value: str) -> str | None:
    """Accept an address that a secret may be sent to: https, or http on this machine."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return "is no address"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must start with http:// or https://"
    if parts.username is not None:
        return "must not have a password in it: `pylon wallet use` keeps it in a file of its own"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return "must be https://: only on this machine may what opens a wallet travel in clear"
    return None
