"""A configuration is read exactly, or refused in one line that says what to mend."""

import re

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pylon.config import Config, RelayConfig
from pylon.config.reading import parse, variables
from pylon.errors import Misconfigured

KEYS = list(variables())


def refusal(text: str, **environ: str) -> str:
    with pytest.raises(Misconfigured) as refused:
        parse(text, source="config.toml", environ=environ)
    return str(refused.value)


def test_an_empty_file_means_the_defaults() -> None:
    assert parse("", source="config.toml") == Config()


def test_the_file_overrides_the_defaults() -> None:
    text = '[relay]\nurls = ["wss://a.example"]\nport = 7000\n[buyer]\noffer_window_seconds = 1\n'

    config = parse(text, source="config.toml")

    assert config.relay == RelayConfig(urls=("wss://a.example",), port=7000)
    assert config.buyer.offer_window_seconds == 1.0


@st.composite
def misspelt_keys(draw: st.DrawFn) -> tuple[str, str, str]:
    section, key = draw(st.sampled_from([pair for pair in KEYS if len(pair[1]) > 5]))
    place = draw(st.integers(1, len(key) - 1))
    wrong = draw(st.sampled_from([key[:place] + key[place + 1 :], key[:place] + "q" + key[place:]]))
    return section, key, wrong


@given(misspelt_keys(), st.integers(0, 20))
def test_a_misspelt_key_is_refused_with_its_line_and_the_right_one(
    misspelt: tuple[str, str, str], blank_lines: int
) -> None:
    section, key, wrong = misspelt
    text = "\n" * blank_lines + f"[{section}]\n# a remark\n{wrong} = 1\n"

    said = refusal(text)

    assert said.startswith(f"config.toml:{blank_lines + 3}: unknown key {section}.{wrong}")
    assert said.endswith(f"did you mean {section}.{key}?")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rely]\nport = 1", "config.toml:1: unknown key rely; did you mean relay?"),
        ("\nport = 1", "config.toml:2: unknown key port; did you mean relay.port?"),
        ("relay.prot = 1", "config.toml:1: unknown key relay.prot; did you mean relay.port?"),
        (
            "[wallet]\nzzz = 1",
            (
                "config.toml:2: unknown key wallet.zzz; known here: backend, ledger_path, "
                "electrum_url, lnd_url, lnd_tls_cert, lnd_macaroon, mainnet"
            ),
        ),
        (
            "[wallet]\nlnd_url = 'ftp://a'",
            "config.toml:2: wallet.lnd_url: must start with http:// or https://",
        ),
        ("[wallet]\nlnd_url = 'http://['", "config.toml:2: wallet.lnd_url: is no address"),
        (
            "[wallet]\nlnd_url = 'http://10.0.0.1'",
            (
                "config.toml:2: wallet.lnd_url: must be https://: "
                "only on this machine may what opens a wallet travel in clear"
            ),
        ),
        (
            "[wallet]\nelectrum_url = 'http://user:pass@127.0.0.1'",
            (
                "config.toml:2: wallet.electrum_url: must not have a password in it: "
                "`pylon wallet use` keeps it in a file of its own"
            ),
        ),
        ("relay = 5", "config.toml:1: relay is a section: write [relay] above its keys"),
        ("[[relay]]", "config.toml:1: relay is a section: write [relay] above its keys"),
        ("[relay]\nport = = 1", "config.toml:2: not TOML: Invalid value"),
        ("[relay]\nport = 1\nport = 2", "config.toml:3: not TOML: Cannot overwrite a value"),
        (
            "[relay]\n'port' = '1'",
            "config.toml:2: relay.port: must be a whole number, not '1'",
        ),
        ("[relay]\nport = true", "config.toml:2: relay.port: must be a whole number, not true"),
        ("[relay]\nport = 0", "config.toml:2: relay.port: must be from 1 to 65535"),
        (
            "[relay]\nurls = 'wss://a'",
            "config.toml:2: relay.urls: must be a list of texts, not 'wss://a'",
        ),
        (
            "[relay]\nurls = ['http://a']",
            "config.toml:2: relay.urls: http://a must start with ws:// or wss://",
        ),
        (
            "[provider]\nrequire_payment = 1",
            "config.toml:2: provider.require_payment: must be true or false, not 1",
        ),
        (
            "[node]\nnetwork = 'mainet'",
            "config.toml:2: node.network: must be one of regtest, signet, testnet, mainnet",
        ),
        (
            "[buyer]\noffer_window_seconds = nan",
            "config.toml:2: buyer.offer_window_seconds: must be from 0 to 600",
        ),
        (
            "[pricing.multipliers]\nollama = 1.5",
            "config.toml:1: pricing.multipliers: must be a table of whole numbers, not {'ollama': 1.5}",
        ),
        (
            "[pricing]\nmultipliers = { ollama = -1 }",
            "config.toml:2: pricing.multipliers: -1 must be from 0 to 10000",
        ),
    ],
)
def test_a_mistake_is_refused_in_one_line(text: str, said: str) -> None:
    assert refusal(text) == said


def test_a_long_wrong_value_is_shown_shortened() -> None:
    said = refusal(f"[node]\nname = [{'1, ' * 1000}]")

    assert len(said) < 120
    assert said.endswith("...")


@pytest.mark.parametrize(
    ("name", "value", "section", "key", "meant"),
    [
        ("PYLON_LLAMA_SERVER_URL", "http://h:1", "backends", "llama_server_url", "http://h:1"),
        ("PYLON_FM_BRIDGE_URL", "http://h:2", "backends", "fm_bridge_url", "http://h:2"),
        ("PYLON_BACKENDS_OLLAMA_URL", "http://h:3", "backends", "ollama_url", "http://h:3"),
        ("PYLON_LEDGER", "ledger.db", "wallet", "ledger_path", "ledger.db"),
        ("PYLON_RELAYS", "ws://a, ws://b", "relay", "urls", ("ws://a", "ws://b")),
        ("PYLON_URLS", '["ws://a"]', "relay", "urls", ("ws://a",)),
        ("PYLON_PORT", "7001", "relay", "port", 7001),
        ("PYLON_REQUIRE_PAYMENT", "false", "provider", "require_payment", False),
        ("PYLON_KINDS", "[5050]", "provider", "kinds", (5050,)),
        ("PYLON_MULTIPLIERS", "{ollama = 150}", "pricing", "multipliers", {"ollama": 150}),
        ("PYLON_NODE_NAME", "true", "node", "name", "true"),
    ],
)
def test_a_variable_overrides_its_key(
    name: str, value: str, section: str, key: str, meant: object
) -> None:
    config = parse("[relay]\nport = 7000\n", source="config.toml", environ={name: value})

    assert getattr(getattr(config, section), key) == meant


def test_the_variable_that_names_the_section_wins() -> None:
    environ = {"PYLON_RELAY_PORT": "2", "PYLON_PORT": "1"}

    assert parse("", source="config.toml", environ=environ).relay.port == 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PYLON_PORT", "x", "PYLON_PORT: must be a whole number, not 'x'"),
        ("PYLON_PORT", "1\nx = 2", "PYLON_PORT: must be a whole number, not '1\\nx = 2'"),
        ("PYLON_PORT", "0", "PYLON_PORT: must be from 1 to 65535"),
        ("PYLON_RELAYS", "a", "PYLON_RELAYS: a must start with ws:// or wss://"),
        (
            "PYLON_REQUIRE_PAYMENT",
            "maybe",
            "PYLON_REQUIRE_PAYMENT: must be true or false, not 'maybe'",
        ),
    ],
)
def test_a_wrong_variable_is_refused_by_name(name: str, value: str, said: str) -> None:
    assert refusal("", **{name: value}) == said


def test_no_two_keys_share_a_variable() -> None:
    names = [name for group in variables().values() for name in group]

    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"PYLON_[A-Z0-9_]+", name) for name in names)


def test_variables_of_the_program_itself_are_no_keys() -> None:
    taken = {name for group in variables().values() for name in group}

    assert taken.isdisjoint({"PYLON_HOME", "PYLON_CONFIG_DIR", "PYLON_PASSPHRASE"})


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, source="config.toml")
    except Misconfigured as exc:
        assert str(exc).startswith("config.toml")  # noqa: PT017 - reading is as good as refusing


def test_play_money_stays_on_this_machine() -> None:
    config = Config()
    port = evolve(config, relay=evolve(config.relay, port=7000))

    assert config.relay_urls == ("ws://127.0.0.1:7777",)
    assert port.relay_urls == ("ws://127.0.0.1:7000",)


def test_other_networks_use_public_relays_unless_told() -> None:
    signet = parse('[node]\nnetwork = "signet"', source="config.toml")
    told = evolve(signet, relay=RelayConfig(urls=("wss://mine",)))

    assert all(url.startswith("wss://") for url in signet.relay_urls)
    assert told.relay_urls == ("wss://mine",)


def test_a_short_question_costs_about_twelve_sat_by_default() -> None:
    config = Config()
    rates = config.pricing
    per_thousand = (
        20 * rates.input_msats_per_1k_tokens
        + config.backends.max_tokens * rates.output_msats_per_1k_tokens
    )

    assert 11_000 < rates.base_msats + per_thousand // 1000 <= 12_000
