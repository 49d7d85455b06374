"""Driving an order from a command: opened, watched, shown, and left so that it can be picked up."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pylon.cli import order_view
from pylon.cli.context import Context
from pylon.cli.following import Follower, follow, wants_pieces
from pylon.cli.output import data, emit, flush, say, stream
from pylon.core.pieces import Pieces
from pylon.errors import InUse

if TYPE_CHECKING:
    from pylon.app.node import Opened
    from pylon.app.ordering import Desk
    from pylon.app.store import Store
    from pylon.model.ids import JobId
    from pylon.model.order import Order, OrderState


def opened_home(context: Context) -> "Opened":
    """Open the home a command was called for, as a buyer."""
    from pylon.app.identity import unlock
    from pylon.app.node import system
    from pylon.cli import passphrase
    from pylon.model.money import Network

    config, home = context.config(), context.home()
    ask = partial(passphrase.current, context)
    identity = unlock(home, Network(config.node.network), ask_passphrase=ask)
    return system(home, config, identity, context.environ)


async def finish(opened: "Opened", desk: "Desk", order: "Order", json: bool) -> int:
    """Watch an order that this process drives to its end; show the answer and what it cost."""
    from pylon.app.ordering import wind_up

    follower = Follower(order, show_pieces=wants_pieces(json), quiet=json)
    with _told_how_it_goes_on(opened, follower):
        state = await follow(desk, follower)
    await show(opened, desk.store, order, state, json=json, shown=follower.pieces)
    flush()
    await wind_up(desk, order.id)
    return order_view.exit_code(state)


async def pick_up(opened: "Opened", desk: "Desk", job: "JobId", json: bool) -> int:
    """Go on with an order; if another process is at it, wait for what comes of that."""
    from pylon.app.ordering import wait_for_other

    order = (await desk.store.orders.load([job]))[job].facts
    try:
        with desk.lock(job):
            await desk.buyer.resume(job)
            return await finish(opened, desk, order, json)
    except InUse:
        state = await wait_for_other(desk, job)
    await show(opened, desk.store, order, state, json=json)
    return order_view.exit_code(state)


async def go_on(opened: "Opened", job: str, *, wait: bool, json: bool) -> int:
    """Show how an order stands; with `wait`, drive it on first if it can still change."""
    from pylon.app.ordering import find_order, open_desk
    from pylon.app.store import open_store
    from pylon.core.order_machine import is_final
    from pylon.model.order import Disputed

    async with open_store(opened.home.database) as store:
        record = await find_order(store, job)
        order, state = record.facts, record.state
        if not wait or (is_final(state) and not isinstance(state, Disputed)):
            await show(opened, store, order, state, json=json)
            return order_view.exit_code(state)
    async with open_desk(opened, since=order.opened_at) as desk:
        return await pick_up(opened, desk, order.id, json)


async def show(
    opened: "Opened",
    store: "Store",
    order: "Order",
    state: "OrderState",
    *,
    json: bool,
    shown: Pieces | None = None,
) -> None:
    """Print the answer, or what is left of it; and what it cost, to a person."""
    from pylon.app.ordering import answer_text
    from pylon.ports.records import Record

    record = Record(order.id, order, state, 0)
    answer = await answer_text(store, opened.identity.signer, record)
    if json:
        emit(order_view.as_json(order, state, answer), as_json=True, text="")
        return
    _print_answer(answer, shown or Pieces())
    for line in _conclusion(opened, order, state):
        say(line, style="dim", as_is=True)


def _print_answer(answer: str | None, shown: Pieces) -> None:
    rest = None if answer is None else shown.rest_of(answer)
    if rest is None and shown.text:
        stream("\n")
    if rest is not None:
        data(rest)
    elif answer is not None:
        say("the answer as it was delivered:", style="dim")
        data(answer)


def _conclusion(opened: "Opened", order: "Order", state: "OrderState") -> list[str]:
    """Say how an order stands, and on a line of its own what to do next."""
    from pylon.model.order import Done

    pylon = opened.home.command
    words = order_view.in_words(order, state, pylon=pylon)
    if isinstance(state, Done):
        return [words, f"receipt: {pylon} job receipt {order.id[: order_view.SHORT]}"]
    advice = order_view.advice(state, pylon=pylon)
    return [words, advice] if advice else [words]


@contextmanager
def _told_how_it_goes_on(opened: "Opened", follower: Follower) -> Generator[None]:
    """Tell a person how to go on with the job when the command ends before it, as with Ctrl-C."""
    pylon, job = opened.home.command, follower.order.id[: order_view.SHORT]
    ended = False
    try:
        yield
        ended = True
    finally:
        if not ended:
            say("\nthe job is kept")
            say(f"to go on: {pylon} job results {job} --wait", as_is=True)
            if not follower.paying:
                say(f"to call it off: {pylon} job cancel {job}", as_is=True)
