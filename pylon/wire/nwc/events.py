"""The events that carry wallet requests and their answers (NIP-47).

All but the info event are ephemeral: who does not listen when one is sent never sees it.
"""

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from pylon.errors import Malformed
from pylon.model.event import Draft, Event
from pylon.model.ids import EventId, PublicKey
from pylon.model.job import Encryption
from pylon.wire import expiration

INFO_KIND: Final = 13194
REQUEST_KIND: Final = 23194
RESPONSE_KIND: Final = 23195
NOTIFICATION_KINDS: Final = {Encryption.NIP44: 23197, Encryption.NIP04: 23196}

_WORDS: Final = {"nip44_v2": Encryption.NIP44, "nip04": Encryption.NIP04}
_WORD_OF: Final = {encryption: word for word, encryption in _WORDS.items()}
_NOTIFIES: Final = "notifications"  # a word among the methods


@frozen
class ServiceInfo:
    """What a wallet says it can do; words we do not know are kept."""

    methods: frozenset[str]
    notifications: frozenset[str] = frozenset()
    encryptions: frozenset[Encryption] = frozenset({Encryption.NIP04})

    def preferred(self) -> Encryption | None:
        """Return the better of the encryptions that both sides know; None if there is none."""
        both = (Encryption.NIP44, Encryption.NIP04)
        return next((one for one in both if one in self.encryptions), None)


def read_info(event: Event) -> ServiceInfo:
    """Read an info event.

    Raises:
        Malformed: if it is none.
    """
    _require(event, INFO_KIND)
    spoken = event.tag("encryption")
    words = ["nip04"] if spoken is None else spoken.replace(",", " ").split()
    return ServiceInfo(
        frozenset(event.content.split()) - {_NOTIFIES},
        frozenset((event.tag("notifications") or "").split()),
        frozenset(_WORDS[word] for word in words if word in _WORDS),
    )


def info_draft(info: ServiceInfo, *, now: int) -> Draft:
    """Write an info event."""
    spoken = (word for encryption, word in _WORD_OF.items() if encryption in info.encryptions)
    tags = [("encryption", " ".join(spoken))]
    methods = sorted(info.methods)
    if info.notifications:
        methods.append(_NOTIFIES)
        tags.append((_NOTIFIES, " ".join(sorted(info.notifications))))
    return Draft(INFO_KIND, now, tuple(tags), " ".join(methods))


def request_draft(
    wallet: PublicKey, content: str, encryption: Encryption, *, now: int, void_at: int
) -> Draft:
    """Wrap an encrypted request, which the wallet is to ignore after unix second `void_at`."""
    tags = (("p", wallet), ("encryption", _WORD_OF[encryption]), expiration.tag(void_at))
    return Draft(REQUEST_KIND, now, tags, content)


def encryption_of(event: Event) -> Encryption | None:
    """Say how a request is encrypted, and its answer is to be; None for a way we do not know."""
    word = event.tag("encryption")
    return Encryption.NIP04 if word is None else _WORDS.get(word)


def response_draft(client: PublicKey, request: EventId, content: str, *, now: int) -> Draft:
    """Wrap an encrypted response."""
    return Draft(RESPONSE_KIND, now, (("p", client), ("e", request)), content)


def notification_drafts(
    client: PublicKey, contents: Iterable[tuple[Encryption, str]], *, now: int
) -> list[Draft]:
    """Wrap one notification, encrypted in each way that a client may know."""
    return [
        Draft(NOTIFICATION_KINDS[encryption], now, (("p", client),), content)
        for encryption, content in contents
    ]


def answered_request(event: Event) -> EventId:
    """Return which request a response answers.

    Raises:
        Malformed: if it is no response, or does not say.
    """
    _require(event, RESPONSE_KIND)
    request = event.tag("e")
    if request is None:
        raise Malformed("a response that does not say what it answers")
    return EventId(request)


def _require(event: Event, kind: int) -> None:
    if event.kind != kind:
        raise Malformed(f"kind {event.kind} is not {kind}")
