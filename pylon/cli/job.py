"""`pylon job`."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pylon.cli import order_view
from pylon.cli.commands import subcommands
from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.following import Follower, follow, wants_pieces
from pylon.cli.output import data, emit, flush, is_interactive, say, stream, table
from pylon.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from pylon.app.node import Opened
    from pylon.app.ordering import Desk
    from pylon.app.store import Store
    from pylon.core.ordering import Wish
    from pylon.model.ids import JobId, PublicKey
    from pylon.model.order import Order, OrderState

app = subcommands("job")

MAX_PROMPT_BYTES = 1_000_000


@app.command
def submit(
    prompt: str | None = None,
    *,
    input: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,  # noqa: A002 - the option's name
    kind: int = 5050,
    model: str | None = None,
    backend: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    bid: int | None = None,
    provider: str | None = None,
    relay: tuple[str, ...] = (),
    auto_pay: bool = False,
    max_sats: int | None = None,
    timeout: int | None = None,
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
        prompt=_read_prompt(prompt, input),
        kind=kind,
        backend=backend,
        model=model,
        max_tokens=max_tokens,
        temperature=temperature,
        provider=_read_provider(provider),
        bid=None if bid is None else from_sats(bid),
        max_price=None if max_sats is None else from_sats(max_sats),
        timeout_seconds=timeout,
        auto_pay=auto_pay,
        encrypted=encrypt,
        streaming=wants_pieces(json),
        relays=relay,
    )
    return trio.run(_submit, _open(context), wish, idempotency_key, json)


@app.command
def results(job: str, *, wait: bool = False, json: AsJson = False, context: InContext) -> int:
    """Print the answer of a job ordered earlier.

    $ pylon job results 3fe2a9c1
    $ pylon job results 3fe2a9c1 --wait

    Parameters
    ----------
    job
        The job's id, or the beginning of it.
    wait
        Go on with a job that has not ended, until it has.
    """
    import trio

    return trio.run(_results, _open(context), job, wait, json)


@app.command
def status(job: str, *, json: AsJson = False, context: InContext) -> int:
    """Say where a job stands.

    $ pylon job status 3fe2a9c1

    Parameters
    ----------
    job
        The job's id, or the beginning of it.
    """
    import trio

    return trio.run(_status, context, job, json)


@app.command(name="list")
def list_(*, limit: int = 20, json: AsJson = False, context: InContext) -> None:
    """List the jobs ordered from this home, the latest first.

    $ pylon job list --limit 5

    Parameters
    ----------
    limit
        How many to show.
    """
    import trio

    trio.run(_list, context, limit, json)


@app.command
def cancel(job: str, *, json: AsJson = False, context: InContext) -> int:
    """Call a job off, if nothing is paid yet, and tell the providers.

    $ pylon job cancel 3fe2a9c1

    Parameters
    ----------
    job
        The job's id, or the beginning of it.
    """
    import trio

    return trio.run(_cancel, _open(context), job, json)


def _open(context: Context) -> "Opened":
    from pylon.app.identity import unlock
    from pylon.app.node import system
    from pylon.cli import passphrase
    from pylon.model.money import Network

    config, home = context.config(), context.home()
    ask = partial(passphrase.current, context)
    identity = unlock(home, Network(config.node.network), ask_passphrase=ask)
    return system(home, config, identity, context.environ)


def _read_prompt(prompt: str | None, source: str | None) -> str:
    if (prompt is None) == (source is None):
        raise Misconfigured('what to ask? pylon job submit "..." or --input FILE')
    if prompt is not None:
        return prompt
    try:
        stdin = source == "-"
        raw = sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1) if stdin else _read_file(str(source))
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise Misconfigured(f"{source} cannot be read: {exc}") from exc
    if len(raw) > MAX_PROMPT_BYTES:
        raise Misconfigured(f"{source} is larger than {MAX_PROMPT_BYTES:,} bytes")
    return text


def _read_file(name: str) -> bytes:
    with Path(name).expanduser().open("rb") as file:
        return file.read(MAX_PROMPT_BYTES + 1)


def _read_provider(text: str | None) -> "PublicKey | None":
    from pylon.wire import entities

    if text is None:
        return None
    try:
        return entities.public_key(text)
    except Malformed as exc:
        raise Misconfigured(f"--provider {text}: {exc}") from exc


async def _submit(opened: "Opened", wish: "Wish", key: str | None, json: bool) -> int:
    from pylon.app.ordering import open_desk, ordered_as, place, prepare

    if key is not None and (earlier := await ordered_as(opened, key)):
        say(f"job {earlier} has this idempotency key already", style="dim")
        return await _results(opened, earlier, wait=True, json=json)
    order = prepare(opened, wish)
    async with open_desk(opened, since=order.opened_at, relays=wish.relays) as desk:
        with opened.home.lock(f"order-{order.id[:16]}"):
            placed = await place(desk, order, key)
            if placed == order.id:
                if not json:
                    say(f"job {order.id}", style="dim")
                return await _finish(opened, desk, order, json)
        say(f"job {placed} has been begun with this idempotency key just now", style="dim")
        return await _pick_up(opened, desk, placed, json)


async def _finish(opened: "Opened", desk: "Desk", order: "Order", json: bool) -> int:
    from pylon.app.ordering import wind_up

    follower = Follower(order, show_pieces=wants_pieces(json), quiet=json)
    state = await follow(desk, follower)
    await _show(opened, desk.store, order, state, json=json, shown=follower.pieces)
    flush()
    await wind_up(desk, order.id)
    return order_view.exit_code(state)


async def _show(
    opened: "Opened",
    store: "Store",
    order: "Order",
    state: "OrderState",
    *,
    json: bool,
    shown: str = "",
) -> None:
    """Print the answer, unless its pieces were it; and what it cost, to a person."""
    from pylon.app.ordering import answer_text
    from pylon.ports.records import Record

    record = Record(order.id, order, state, 0)
    answer = await answer_text(store, opened.identity.signer, record)
    if json:
        emit(order_view.as_json(order, state, answer), as_json=True, text="")
        return
    if shown:
        stream("\n")
    if answer is not None and shown.strip() != answer.strip():
        data(answer)
    say(f"{order_view.in_words(order, state)}", style="dim")


async def _results(opened: "Opened", job: str, wait: bool, json: bool) -> int:
    from pylon.app.ordering import find_order, open_desk
    from pylon.app.store import open_store
    from pylon.core.order_machine import is_final
    from pylon.model.order import Disputed

    async with open_store(opened.home.database) as store:
        record = await find_order(store, job)
        order, state = record.facts, record.state
        if not wait or (is_final(state) and not isinstance(state, Disputed)):
            await _show(opened, store, order, state, json=json)
            return order_view.exit_code(state)
    async with open_desk(opened, since=order.opened_at) as desk:
        return await _pick_up(opened, desk, order.id, json)


async def _pick_up(opened: "Opened", desk: "Desk", job: "JobId", json: bool) -> int:
    """Go on with an order; if another process is at it, wait for what comes of that."""
    from pylon.app.ordering import wait_for_other
    from pylon.errors import Misconfigured as Taken

    order = (await desk.store.orders.load([job]))[job].facts
    try:
        with opened.home.lock(f"order-{job[:16]}"):
            await desk.buyer.resume(job)
            return await _finish(opened, desk, order, json)
    except Taken:
        state = await wait_for_other(desk, job)
    await _show(opened, desk.store, order, state, json=json)
    return order_view.exit_code(state)


async def _status(context: Context, job: str, json: bool) -> int:
    from pylon.app.ordering import find_order
    from pylon.app.store import open_store

    async with open_store(context.home().database) as store:
        record = await find_order(store, job)
    order, state = record.facts, record.state
    text = f"{order.id}\n{order_view.name(state)}: {order_view.in_words(order, state)}"
    emit(order_view.as_json(order, state), as_json=json, text=text)
    return ExitCode.OK


async def _list(context: Context, limit: int, json: bool) -> None:
    from pylon.app.store import open_store

    async with open_store(context.home().database) as store:
        records = await store.orders.recent(limit=limit)
    if json:
        emit([order_view.as_json(r.facts, r.state) for r in records], as_json=True, text="")
    elif records:
        rows = [
            (r.id[:12], order_view.name(r.state), order_view.in_words(r.facts, r.state))
            for r in records
        ]
        table(("JOB", "STATE", "WHICH MEANS"), rows)
    else:
        say('no jobs yet: pylon job submit "What is 2+2?" --auto-pay')


async def _cancel(opened: "Opened", job: str, json: bool) -> int:
    from pylon.app.ordering import cancelled, find_order, open_desk
    from pylon.app.store import open_store

    async with open_store(opened.home.database) as store:
        order = (await find_order(store, job)).facts
    with opened.home.lock(f"order-{order.id[:16]}"):
        async with open_desk(opened, since=order.opened_at) as desk:
            state = await cancelled(desk, order.id)
    emit(order_view.as_json(order, state), as_json=json, text=order_view.in_words(order, state))
    return ExitCode.OK if order_view.name(state) == "withdrawn" else ExitCode.FAILURE
