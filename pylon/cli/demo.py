"""`pylon demo`."""

from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field

from pylon.cli import order_view
from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.filling import Filling
from pylon.cli.following import wants_pieces
from pylon.cli.output import byte_progress, columns, data, emit, say, stream
from pylon.core.pieces import Pieces

if TYPE_CHECKING:
    from pylon.app.demo import Demo
    from pylon.core.order_mail import Progress
    from pylon.model.order import Answer, Done, Order, OrderState

PROMPT = "In one sentence: what is Bitcoin?"
SHORT = 12  # characters of an id that are shown
_HANG = 20  # where the words of a line of the story begin
_MARGIN = 13  # where the answer begins
_WIDTH = 78  # of the lines of an answer, where the terminal is as wide


def demo(prompt: str = PROMPT, *, json: AsJson = False, context: InContext) -> int:
    """Run one paid job from start to end, on this machine alone.

    A relay, a provider with a real small model, a buyer and a ledger of play money, each in a
    temporary home, in one process. Nothing to configure; the network is used only to fetch the
    model, the first time.

    $ pylon demo
    $ pylon demo "Name the capital of France."
    $ pylon demo --json

    Parameters
    ----------
    prompt
        What the buyer asks.
    """
    import trio

    return trio.run(_demo, context, prompt, json)


async def _demo(context: Context, prompt: str, json: bool) -> int:
    import trio

    from pylon.app.demo import open_demo

    began = trio.current_time()
    if not json:
        say("One paid job, on this machine alone. The money is play money.\n", style="bold")
    with byte_progress("fetching the model, once") as download:
        opening = open_demo(context.environ, data_dir=context.home().data_dir, download=download)
        demo_context = partial(_order, prompt=prompt, json=json, began=began)
        async with opening as ready:
            return await demo_context(ready)
    raise AssertionError("the demonstration swallows no exception")


async def _order(demo: "Demo", *, prompt: str, json: bool, began: float) -> int:
    import trio

    from pylon.app.demo import audit, check_receipt
    from pylon.app.ordering import answer_text, prepare
    from pylon.core.ordering import Wish
    from pylon.model.order import Done
    from pylon.ports.records import Record

    provider = demo.provider.identity.public_key
    wish = Wish(
        prompt, provider=provider, auto_pay=True, streaming=wants_pieces(json), temperature=0.0
    )
    order = prepare(demo.buyer, wish)
    story = _Story(demo, order, quiet=json)
    story.introduce(trio.current_time() - began)
    await demo.desk.buyer.submit(order)
    state = await _watch(demo, story)
    answer = await answer_text(
        demo.desk.store, demo.buyer.identity.signer, Record(order.id, order, state, 0)
    )
    if not isinstance(state, Done) or answer is None:
        say(f"\npylon: {order_view.in_words(order, state)}", style="red")
        return order_view.exit_code(state)
    claims = {claim.name: claim.verdict == "holds" for claim in await check_receipt(demo, order.id)}
    wrong = [name for name, holds in claims.items() if not holds] + await audit(demo.buyer)
    if json:
        emit(order_view.as_json(order, state, answer) | {"checked": claims}, as_json=True, text="")
    else:
        story.conclude(state, answer, [name for name, holds in claims.items() if holds])
    for line in wrong:
        say(f"pylon: this does not hold: {line}", style="red")
    return ExitCode.FAILURE if wrong else ExitCode.OK


async def _watch(demo: "Demo", story: "_Story") -> "OrderState":
    """Tell the story until the order ends."""
    from pylon.core.order_machine import is_final
    from pylon.core.order_mail import OrderChanged

    async for item in demo.desk.buyer.progress:
        story.tell(item)
        if isinstance(item, OrderChanged) and is_final(item.state):
            return item.state
    raise AssertionError("an order ends before its desk does")


@define
class _Story:
    """The job's life, a line for each thing that happens, with the seconds since the request."""

    demo: "Demo"
    order: "Order"
    quiet: bool
    pieces: Pieces = field(factory=Pieces, init=False)
    filling: Filling = field(init=False)
    _began: float = field(default=0.0, init=False)
    _told: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.filling = Filling(min(_WIDTH, columns()), _MARGIN)

    def introduce(self, seconds: float) -> None:
        """Say who is there."""
        from pylon.model.money import show_sats

        models = [f"{h.backend}:{m}" for h in self.demo.serving.backends for m in h.models]
        self._began = self.demo.buyer.clock.now()
        if self.quiet:
            return
        say(f"  relay      {self.demo.relay}")
        say(f"  provider   {self.demo.provider.identity.npub}")
        say(f"             sells {', '.join(models)}")
        say(f"  buyer      {self.demo.buyer.identity.npub}")
        say(f"             holds {show_sats(self.demo.funded)} of the embedded regtest ledger")
        say(f"  ready in   {seconds:.1f} s\n")

    def tell(self, item: "Progress") -> None:
        """Tell one thing that happened."""
        from pylon.core import order_mail as mail

        match item:
            case mail.OrderChanged(state=state):
                self._tell_state(state)
            case mail.PartialHeard(text=text, seq=seq) if wants_pieces(self.quiet):
                if not self.pieces.text:
                    self._line("answer", "from the provider, as it is made:")
                    stream(f"\n{' ' * _MARGIN}")
                stream(self.filling.add(self.pieces.add(seq, text)))
            case mail.StatusHeard(status="processing"):
                self._line("work", "the provider sees that it will be paid, and begins")
            case mail.OfferRefused(reason=reason):
                self._line("refused", reason)
            case _:
                return

    def _tell_state(self, state: "OrderState") -> None:
        from pylon.core.order_machine import HELD_FIRST
        from pylon.model import order as orders
        from pylon.model.money import show_sats

        match state:
            case orders.Published():
                self._line(
                    "request", f"kind {self.order.request.kind}, event {self.order.id[:SHORT]}"
                )
            case orders.Reserving(offer=offer):
                terms = f"{show_sats(offer.amount)}, {offer.mode}"
                self._line("offer", f"{terms}: {offer.bolt11[:36]}...")
                self._tell_answer(offer.answer)
            case (
                orders.Paying(offer=offer, answer=answer)
                | orders.Unknown(offer=offer, answer=answer)
            ):
                self._line("budget", "amount and fee are set aside before anything is paid")
                if offer.mode in HELD_FIRST:
                    self._line("held", "the money is on its way, and stays between the two")
                self._tell_answer(answer)
            case orders.Paid(offer=offer, fee=fee, preimage=preimage):
                proof = f"preimage {preimage[:SHORT]}..."
                self._line(
                    "paid", f"{show_sats(offer.amount)} and {show_sats(fee)} in fees, {proof}"
                )
            case orders.Done(answer=answer) if answer.locked is not None:
                self._line("opened", "the preimage opens it, and it is what was promised")
            case _:
                return

    def _tell_answer(self, answer: "Answer | None") -> None:
        if answer is not None and answer.locked is not None:
            lock = answer.locked.payment_hash[:SHORT]
            self._line("locked", f"the answer is here; what opens it is paying for {lock}...")

    def _line(self, name: str, text: str) -> None:
        if not self.quiet and name not in self._told:
            self._told.add(name)
            seconds = self.demo.buyer.clock.now() - self._began
            line = f"  {seconds:5.2f} s  {name:<8} {text}"
            say(line, style=_STYLES.get(name, ""), hang=_HANG)

    def conclude(self, state: "Done", answer: str, claims: list[str]) -> None:
        """Print what is left of the answer, the receipt, and what to do next."""
        if self.pieces.text:
            stream("\n\n")
        if self.pieces.rest_of(answer) != "":
            data(answer)
        self._line("receipt", f"result {state.answer.result[:SHORT]}, signed by the provider")
        for claim in claims:
            say(f"             checked: {claim}", style="green")
        say("             checked: the ledger holds every sat that was ever in it", style="green")
        say("\nNext, in two terminals:", style="bold")
        for line in _NEXT:
            say(f"  {line}")


_STYLES = {
    "offer": "yellow",
    "held": "yellow",
    "locked": "cyan",
    "paid": "bold yellow",
    "opened": "cyan",
    "receipt": "bold green",
    "refused": "red",
}
_NEXT = (
    "1   pylon --home ~/a init",
    "    pylon --home ~/a run",
    "2   pylon --home ~/b init",
    "    pylon --home ~/b wallet fund",
    '    pylon --home ~/b job submit "What is 2+2?" --auto-pay',
)
