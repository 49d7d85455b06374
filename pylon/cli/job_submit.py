"""`pylon job submit`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, InContext
from pylon.cli.following import wants_pieces
from pylon.cli.job_driving import finish, go_on, opened_home, pick_up
from pylon.cli.output import is_interactive, say
from pylon.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from pylon.app.node import Opened
    from pylon.core.ordering import Wish
    from pylon.model.ids import PublicKey
    from pylon.model.money import PayMode

MAX_PROMPT_BYTES = 1_000_000

_Positive = Parameter(validator=Number(gte=1))
_NotNegative = Parameter(validator=Number(gte=0))


def submit(
    prompt: str | None = None,
    *,
    input: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,  # noqa: A002 - the option's name
    kind: int = 5050,
    model: str | None = None,
    backend: str | None = None,
    max_tokens: Annotated[int | None, _Positive] = None,
    temperature: Annotated[float | None, Parameter(validator=Number(gte=0, lte=2))] = None,
    bid: Annotated[int | None, _Positive] = None,
    provider: str | None = None,
    relay: tuple[str, ...] = (),
    auto_pay: Annotated[bool, Parameter(name=("--auto-pay", "--yes"))] = False,
    max_sats: Annotated[int | None, _NotNegative] = None,
    timeout: Annotated[int | None, _Positive] = None,
    pay: str | None = None,
    encrypt: bool = False,
    idempotency_key: str | None = None,
    json: AsJson = False,
    context: InContext,
) -> int:
    """Ask the market, pay for the answer, and print it.

    $ pylon job submit "What is 2+2?" --auto-pay
    $ pylon job submit --input letter.txt --model llama3.2 --max-sats 50
    $ git diff | pylon job submit --input - --provider npub1... --encrypt --auto-pay --json

    Without --auto-pay the price is shown and you are asked. A job goes on when this command is
    interrupted: `pylon job results ID --wait` picks it up.

    Parameters
    ----------
    prompt
        What to ask.
    input
        A file with what to ask; - is standard input.
    kind
        5050 asks for text, 5935 for a chat completion.
    model
        The model to ask for, with or without its backend.
    backend
        The kind of backend to ask for: llamacpp, ollama, apple_fm, openai, embedded.
    max_tokens
        Longest answer; the price depends on it.
    temperature
        0 is the likeliest answer, up to 2 is ever more surprising.
    bid
        The price offered, in satoshi; providers see it.
    provider
        Ask only this provider (npub or hex). Without it everybody may make an offer.
    relay
        Use this relay; may be given several times (default: the configured ones).
    auto_pay
        Pay without asking, within --max-sats and the budget.
    max_sats
        The most to pay, fees apart (default: the bid, or buyer.max_sats_per_job).
    timeout
        Seconds until the job is given up (default: buyer.timeout_seconds).
    pay
        How to pay, the best way first: hold+locked, locked, hold, prepay, or several with commas
        (default: buyer.modes). Held money moves only when the answer is out; a locked answer is
        here before it is paid for.
    encrypt
        Hide the question and the answer from everybody but the provider.
    idempotency_key
        A name of your choice: submitting again with the same one never pays twice.
    """
    import trio

    if not auto_pay and not is_interactive():
        raise Misconfigured(
            "nobody can be asked here: give --auto-pay, and --max-sats as the limit"
        )
    from pylon.core.ordering import Wish
    from pylon.model.money import from_sats

    wish = Wish(
        prompt=_not_empty(_read_prompt(prompt, input)),
        kind=kind,
        backend=backend,
        model=model,
        max_tokens=max_tokens,
        temperature=temperature,
        provider=_read_provider(provider),
        bid=None if bid is None else from_sats(bid),
        max_price=None if max_sats is None else from_sats(max_sats),
        modes=_read_modes(pay),
        timeout_seconds=timeout,
        auto_pay=auto_pay,
        encrypted=encrypt,
        streaming=wants_pieces(json),
        relays=_read_relays(relay),
    )
    return trio.run(_submit, opened_home(context), wish, idempotency_key, json)


async def _submit(opened: "Opened", wish: "Wish", key: str | None, json: bool) -> int:
    from pylon.app.ordering import open_desk, ordered_as, place, prepare

    earlier = await ordered_as(opened, key) if key is not None else None
    if earlier is not None:
        say(f"job {earlier} has this idempotency key already", style="dim")
        return await go_on(opened, earlier, wait=True, json=json)
    order = prepare(opened, wish)
    async with open_desk(opened, since=order.opened_at, relays=wish.relays) as desk:
        with desk.lock(order.id):
            placed = await place(desk, order, key)
            if placed == order.id:
                if not json:
                    say(f"job {order.id}", style="dim")
                return await finish(opened, desk, order, json)
        say(f"job {placed} has been begun with this idempotency key just now", style="dim")
        return await pick_up(opened, desk, placed, json)


def _read_prompt(prompt: str | None, source: str | None) -> str:
    if prompt is not None and source is not None:
        raise Misconfigured("give what to ask, or --input FILE, but not both")
    if prompt is not None:
        return prompt
    if source is None:
        raise Misconfigured('what to ask? pylon job submit "..." or --input FILE')
    try:
        stdin = source == "-"
        raw = sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1) if stdin else _read_file(source)
    except OSError as exc:
        raise Misconfigured(f"--input {source} cannot be read: {exc.strerror}") from exc
    if len(raw) > MAX_PROMPT_BYTES:
        raise Misconfigured(f"--input {source} is larger than {MAX_PROMPT_BYTES:,} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Misconfigured(f"--input {source} is not UTF-8 text") from exc


def _not_empty(prompt: str) -> str:
    if not prompt.strip():
        raise Misconfigured("the prompt is empty, and nobody sells an answer to nothing")
    return prompt


def _read_file(name: str) -> bytes:
    with Path(name).expanduser().open("rb") as file:
        return file.read(MAX_PROMPT_BYTES + 1)


def _read_provider(text: str | None) -> "PublicKey | None":
    from pylon.wire import entities

    if text is None:
        return None
    try:
        return entities.public_key(text)
    except Malformed as exc:  # not repeated: a secret key may have slipped in
        raise Misconfigured(f"--provider: {exc}") from exc


def _read_modes(text: str | None) -> "tuple[PayMode, ...]":
    from pylon.model.money import PayMode

    if text is None:
        return ()
    known = [mode.value for mode in PayMode if mode is not PayMode.FREE]
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise Misconfigured(f"--pay: {word!r} is none of {', '.join(known)}")
    return tuple(map(PayMode, words))


def _read_relays(urls: tuple[str, ...]) -> tuple[str, ...]:
    from pylon.wire.relay_url import normalise

    try:
        return tuple(map(normalise, urls))
    except Malformed as exc:
        raise Misconfigured(f"--relay: {exc}") from exc
