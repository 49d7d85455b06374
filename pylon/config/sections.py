"""The sections of config.toml: every key with its default, its comment and its limits.

Amounts whose name ends in `_msats` are millisatoshi, in `_sats` satoshi; `_seconds` are seconds.
"""

from collections.abc import Mapping

from attrs import field, frozen

from pylon.config.keys import address, between, each, guarded_address, key, one_of

NETWORKS = ("regtest", "signet", "testnet", "mainnet")
WALLETS = ("ledger", "nwc", "electrum", "lnd", "spark")
BACKENDS = ("llamacpp", "ollama", "apple_fm", "openai", "embedded")
MODES = ("free", "prepay", "hold", "locked", "hold+locked")

LOCAL_RELAY_PORT = 7777
PUBLIC_RELAYS = ("wss://relay.damus.io", "wss://nos.lol", "wss://nexus.openagents.com")

_SECONDS = between(1, 86_400)
_MANY = between(1, 1_000_000)
_SATS = between(0, 21_000_000 * 100_000_000)


@frozen
class NodeConfig:
    """Who this node is."""

    network: str = key(
        "regtest",
        "Which money: regtest (play money on this machine), signet, testnet or mainnet.",
        one_of(*NETWORKS),
    )
    name: str = key("pylon", "The name shown in announcements.")
    about: str = key("", "A sentence about this node, shown in announcements.")
    grace_seconds: int = key(
        20, "How long running jobs may take to finish once the node is asked to stop.", _SECONDS
    )


@frozen
class RelayConfig:
    """Where events travel."""

    urls: tuple[str, ...] = key(
        (),
        "Relays to use; an empty list means the defaults of the network.",
        each(address("ws", "wss")),
        variable="PYLON_RELAYS",
    )
    serve: str = key(
        "auto",
        "Serve the bundled relay: auto (on regtest without urls, when nothing answers), never, always.",
        one_of("auto", "never", "always"),
    )
    port: int = key(
        LOCAL_RELAY_PORT, "The port of the bundled relay, on loopback.", between(1, 65_535)
    )
    publish_acks: int = key(
        1, "How many relays must accept an event before it counts as published.", between(1, 100)
    )
    overlap_seconds: int = key(
        600, "How far back to ask again after a reconnect, so that no event is missed.", _SECONDS
    )


@frozen
class BackendsConfig:
    """What turns prompts into text."""

    order: tuple[str, ...] = key(
        BACKENDS, "Backends to try, the preferred one first.", each(one_of(*BACKENDS))
    )
    llama_server_url: str = key(
        "http://127.0.0.1:8080", "Where llama.cpp's server answers.", address("http", "https")
    )
    ollama_url: str = key(
        "http://127.0.0.1:11434", "Where Ollama answers.", address("http", "https")
    )
    fm_bridge_url: str = key(
        "http://127.0.0.1:11435",
        "Where the bridge to Apple's foundation models answers.",
        address("http", "https"),
    )
    openai_base_url: str = key(
        "",
        "An OpenAI-compatible service; empty means none. Its key is read from OPENAI_API_KEY.",
        address("http", "https", empty=True),
    )
    default_model: str = key(
        "", "The model used when a job names none; empty leaves the choice to the backend."
    )
    embedded_model: str = key(
        "smollm2-135m-instruct", "The model the embedded backend loads: a name or a GGUF file."
    )
    embedded_slots: int = key(2, "Answers the embedded backend works on at once.", between(1, 256))
    context_tokens: int = key(
        4096, "Context of each of those answers, in tokens.", between(256, 1_048_576)
    )
    max_tokens: int = key(512, "Longest answer when a job sets no limit, in tokens.", _MANY)
    stall_seconds: int = key(30, "Give up on an answer that pauses for so long.", _SECONDS)
    job_timeout_seconds: int = key(300, "Give up on an answer that takes so long.", _SECONDS)


@frozen
class ProviderConfig:
    """What this node sells, and to whom."""

    kinds: tuple[int, ...] = key(
        (5050, 5935), "Job kinds served: 5050 text, 5935 chat.", each(between(5000, 5999))
    )
    require_payment: bool = key(True, "Ask for payment; false gives the work away.")
    modes: tuple[str, ...] = key(
        ("hold+locked", "locked", "hold", "prepay"),
        "Payment modes offered, as far as the wallet can; the preferred one first.",
        each(one_of(*MODES)),
    )
    max_queue: int = key(64, "Jobs that may wait for a free backend.", _MANY)
    max_open_jobs_per_buyer: int = key(16, "Unfinished jobs one buyer may have.", _MANY)
    max_unpaid_per_buyer: int = key(
        4, "Jobs one buyer may have that are paid after the work, or were not, for a day.", _MANY
    )
    max_holds: int = key(100, "Payments that may be held at once, offered ones included.", _MANY)
    max_holds_per_buyer: int = key(16, "Those of them that may be one buyer's.", _MANY)
    max_input_bytes: int = key(65_536, "Largest input of a job, in bytes.", between(1, 16_777_216))
    offer_expiry_seconds: int = key(600, "How long an offer and its invoice hold.", _SECONDS)
    accept_broadcast: bool = key(True, "Make offers for jobs addressed to nobody in particular.")
    announce: bool = key(True, "Publish what is sold, and for how much (NIP-89).")
    max_job_age_seconds: int = key(600, "Ignore requests older than this.", _SECONDS)


@frozen
class PricingConfig:
    """price = (base + input + output) x multiplier, in whole satoshi, rounded up."""

    base_msats: int = key(1_000, "Asked for every job.", _SATS)
    input_msats_per_1k_tokens: int = key(5_000, "For 1,000 tokens read.", _SATS)
    output_msats_per_1k_tokens: int = key(20_000, "For 1,000 tokens the answer may have.", _SATS)
    min_price_msats: int = key(1_000, "Never ask for less.", _SATS)
    multipliers: Mapping[str, int] = key(
        {},
        "Percent by backend: { ollama = 150 } asks half as much again.",
        each(between(0, 10_000)),
    )


@frozen
class BuyerConfig:
    """How this node buys."""

    modes: tuple[str, ...] = key(
        ("hold+locked", "locked", "hold", "prepay"),
        "Payment modes accepted, the preferred one first; a job given away is always taken.",
        each(one_of(*MODES[1:])),
    )
    max_sats_per_job: int = key(100, "Most to pay for a job when none is given.", _SATS)
    fee_percent: int = key(1, "Most to pay in routing fees, in percent.", between(0, 100))
    fee_floor_sats: int = key(5, "Routing fees up to this are always accepted.", _SATS)
    offer_window_seconds: float = key(
        2.0, "How long to collect offers before choosing one.", between(0, 600)
    )
    timeout_seconds: int = key(120, "How long to wait for an answer.", _SECONDS)
    node_key_change: str = key(
        "warn",
        "When a provider wants to be paid at another Lightning node than before: warn or refuse.",
        one_of("warn", "refuse"),
    )


@frozen
class WalletConfig:
    """Where the money is. Secrets have files of their own: `pylon wallet use` writes them."""

    backend: str = key(
        "ledger",
        "ledger (play money, regtest only), nwc, electrum, lnd or spark.",
        one_of(*WALLETS),
    )
    ledger_path: str = key(
        "",
        "The ledger file; empty means one for all homes of this user.",
        variable="PYLON_LEDGER",
    )
    electrum_url: str = key(
        "http://127.0.0.1:7777",
        "Where Electrum's daemon answers; its user:password is in secrets/electrum.password.",
        guarded_address,
    )
    lnd_url: str = key(
        "https://127.0.0.1:8080", "Where lnd's REST interface answers.", guarded_address
    )
    lnd_tls_cert: str = key(
        "", "lnd's tls.cert, the only one trusted; empty means what this system trusts."
    )
    lnd_macaroon: str = key(
        "", "The file of a macaroon that may make and pay invoices, and no more."
    )
    mainnet: bool = key(False, "Allow real money; the network must be mainnet too.")


@frozen
class BudgetConfig:
    """Caps on all spending together, fees included; 0 means no cap."""

    per_job_sats: int = key(1_000, "Most for one job.", _SATS)
    per_provider_sats: int = key(0, "Most for one provider, in total.", _SATS)
    per_hour_sats: int = key(0, "Most in one hour (UTC, from full hour to full hour).", _SATS)
    per_day_sats: int = key(10_000, "Most in one day (UTC).", _SATS)
    total_sats: int = key(0, "Most in total.", _SATS)


@frozen
class Config:
    """Everything an operator can set. `Config()` is what an empty file means."""

    node: NodeConfig = field(factory=NodeConfig)
    relay: RelayConfig = field(factory=RelayConfig)
    backends: BackendsConfig = field(factory=BackendsConfig)
    provider: ProviderConfig = field(factory=ProviderConfig)
    pricing: PricingConfig = field(factory=PricingConfig)
    buyer: BuyerConfig = field(factory=BuyerConfig)
    wallet: WalletConfig = field(factory=WalletConfig)
    budget: BudgetConfig = field(factory=BudgetConfig)

    @property
    def relay_urls(self) -> tuple[str, ...]:
        """The relays asked for, or the network's own: play money stays on this machine."""
        if self.relay.urls:
            return self.relay.urls
        if self.node.network == "regtest":
            return (f"ws://127.0.0.1:{self.relay.port}",)
        return PUBLIC_RELAYS
