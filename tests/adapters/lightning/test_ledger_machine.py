"""Whatever several wallets do, in whatever order: money is conserved and nothing is sold twice."""

from hashlib import sha256

import apsw
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from pylon.adapters.lightning.ledger import accounts, faults, invoices, payments, settlement
from pylon.adapters.lightning.ledger.audit import audit
from pylon.adapters.lightning.ledger.faults import Fault, FaultKind
from pylon.adapters.lightning.ledger.invoices import StoredInvoice
from pylon.adapters.lightning.ledger.payments import StoredPayment
from pylon.adapters.lightning.ledger.settlement import PayOrder, Terms
from pylon.adapters.memory.wallet import open_tables
from pylon.errors import Misconfigured
from pylon.model.ids import NodeKey, PaymentHash, Preimage
from pylon.model.money import Msat
from pylon.model.wallet import InvoiceState, PaymentInFlight, PaymentSettled

TERMS = Terms(fee_base=Msat(7), fee_ppm=10_000, hold_seconds=50)
WALLETS = 3
FINAL = {InvoiceState.SETTLED, InvoiceState.CANCELLED}
wallets = st.integers(0, WALLETS - 1)


class LedgerMachine(RuleBasedStateMachine):
    """Rules are the orders of wallets; the model is what settled and what each wallet was given."""

    made = Bundle("made")

    @initialize()
    def open(self) -> None:
        self.db: apsw.Connection = open_tables()
        self.now = 1_000.0
        self.given = [0] * WALLETS
        self.final: dict[PaymentHash, InvoiceState] = {}
        self.accounts = [
            accounts.open_account(NodeKey(f"{n:066x}"), "", self.db) for n in range(WALLETS)
        ]

    @rule(wallet=wallets, amount=st.integers(-5, 20_000).map(Msat))
    def fund(self, wallet: int, amount: Msat) -> None:
        try:
            accounts.fund(self.accounts[wallet], amount, self.now, self.db)
        except Misconfigured:
            assert amount <= 0
        else:
            self.given[wallet] += amount

    @rule(
        target=made,
        wallet=wallets,
        amount=st.integers(1, 10_000).map(Msat),
        number=st.integers(0, 12),
        hold=st.booleans(),
        expiry=st.integers(0, 60),
    )
    def make(self, wallet: int, amount: Msat, number: int, hold: bool, expiry: int) -> object:
        preimage = Preimage(f"{number:064x}")
        payment_hash = PaymentHash(sha256(bytes.fromhex(preimage)).hexdigest())
        draft = StoredInvoice(
            payment_hash=payment_hash,
            payee=self.accounts[wallet],
            amount=amount,
            bolt11=f"{payment_hash} {amount}",
            description="",
            preimage=None if hold else preimage,
            hold=hold,
            state=InvoiceState.OPEN,
            created_at=int(self.now),
            expires_at=int(self.now) + expiry,
        )
        try:
            invoices.issue(draft, self.db)
        except Misconfigured:
            assert invoices.find(self.db, payment_hash) is not None
            return multiple()
        return wallet, preimage, payment_hash, amount

    @rule(wallet=wallets, invoice=made, max_fee=st.sampled_from([0, 1_000]).map(Msat))
    def pay(
        self, wallet: int, invoice: tuple[int, Preimage, PaymentHash, Msat], max_fee: Msat
    ) -> None:
        _, preimage, payment_hash, amount = invoice
        payer = self.accounts[wallet]
        before = payments.outcome(self.db, payer, payment_hash)
        payment = StoredPayment(payer, payment_hash, "pending", amount, TERMS.fee(amount))
        text = f"{payment_hash} {amount}"
        order = PayOrder(payment, text, max_fee, TERMS, self.now)
        with self.db:
            result = settlement.pay(order, self.db).result

        if isinstance(before, PaymentSettled):
            assert result == before
        if isinstance(result, PaymentSettled):
            assert (result.preimage, result.amount) == (preimage, amount)
        if isinstance(before, PaymentInFlight) and isinstance(result, PaymentInFlight):
            assert result == before

    @rule(invoice=made)
    def settle(self, invoice: tuple[int, Preimage, PaymentHash, Msat]) -> None:
        wallet, preimage, payment_hash, _ = invoice
        order = (payment_hash, preimage, self.accounts[wallet], self.now)
        with self.db:
            settlement.settle_hold(*order, self.db)

    @rule(invoice=made)
    def cancel(self, invoice: tuple[int, Preimage, PaymentHash, Msat]) -> None:
        wallet, _, payment_hash, _ = invoice
        with self.db:
            status = settlement.cancel(payment_hash, self.accounts[wallet], self.now, self.db)
        assert status is not None
        assert status.state in FINAL

    @rule(
        wallet=wallets,
        kind=st.sampled_from([FaultKind.FAIL, FaultKind.STUCK, FaultKind.NO_ROUTE]),
        times=st.one_of(st.none(), st.integers(1, 3)),
    )
    def inject(self, wallet: int, kind: FaultKind, times: int | None) -> None:
        faults.inject(self.accounts[wallet], Fault(kind, value=5_000, times=times), self.db)

    @rule(wallet=wallets, deliver=st.booleans())
    def clear(self, wallet: int, deliver: bool) -> None:
        with self.db:
            account = self.accounts[wallet]
            settlement.clear_faults(account, TERMS, self.now, self.db, deliver=deliver)
        assert payments.stuck(self.db, self.accounts[wallet]) == []

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def money_is_conserved(self) -> None:
        total = self.db.execute("SELECT sum(balance) FROM account WHERE name <> 'faucet'").get
        assert total == sum(self.given)

    @invariant()
    def the_end_of_an_invoice_is_its_end(self) -> None:
        for payment_hash, state in self.db.execute("SELECT payment_hash, state FROM invoice"):
            if (known := self.final.get(payment_hash)) is not None:
                assert state == known
            elif state in FINAL:
                self.final[payment_hash] = InvoiceState(state)

    @invariant()
    def the_audit_finds_nothing(self) -> None:
        assert audit(self.db) == []

    def teardown(self) -> None:
        self.db.close()


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
