"""What is announced is what can be bought at that moment, at the prices of the configuration."""

from attrs import evolve

from pylon.config import BackendsConfig, PricingConfig, ProviderConfig
from pylon.core.admission import Service
from pylon.core.announcement import LIFE_SECONDS, announce
from pylon.model.handler import Handler
from pylon.model.inference import BackendHealth
from pylon.model.money import Msat, PayMode
from pylon.model.wallet import Capabilities
from pylon.wire import event as events
from pylon.wire.handlers import read_handler
from tests.nostr import keys

NOW = 1_700_000_000
UP = BackendHealth("ollama", available=True, models=("llama3.2", "phi4"))
DOWN = BackendHealth("llamacpp", available=False, models=("gpt_oss_20b",), reason="down")
SERVICE = Service(
    ProviderConfig(),
    PricingConfig(base_msats=1000, multipliers={"ollama": 150}, min_price_msats=2000),
    BackendsConfig(),
    (DOWN, UP),
)


def announced(service: Service) -> Handler:
    draft = announce(service, name="shop", about="fast", now=NOW)
    assert draft is not None
    return read_handler(events.sign(draft, keys(3)))


def test_it_names_kinds_models_modes_and_an_end() -> None:
    handler = announced(SERVICE)
    assert handler.kinds == (5050, 5935)
    assert [model.name for model in handler.models] == ["ollama:llama3.2", "ollama:phi4"]
    assert handler.pay == (PayMode.PREPAY,), "all that a plain wallet can"
    assert (handler.name, handler.about) == ("shop", "fast")
    assert handler.expires_at == NOW + LIFE_SECONDS


def test_prices_are_those_of_the_backend_and_the_minimum_is_everybody_s() -> None:
    rates = announced(SERVICE).models[0].rates
    assert rates is not None
    assert rates.base == Msat(1500)
    assert rates.minimum == Msat(2000)


def test_work_that_is_given_away_is_announced_as_free() -> None:
    free = evolve(SERVICE, provider=evolve(SERVICE.provider, require_payment=False))
    assert announced(free).pay == (PayMode.FREE,)


def test_the_ways_to_pay_are_those_that_the_wallet_can() -> None:
    able = evolve(SERVICE, able=Capabilities(hold=True))
    modes = (PayMode.HOLD_LOCKED, PayMode.LOCKED, PayMode.HOLD, PayMode.PREPAY)
    assert announced(able).pay == modes


def test_nothing_is_announced_while_nothing_can_be_sold() -> None:
    nobody = evolve(SERVICE, healths=(DOWN,))
    assert announce(nobody, name="shop", about="", now=NOW) is None
    no_way_to_pay = evolve(SERVICE, provider=evolve(SERVICE.provider, modes=("hold",)))
    assert announce(no_way_to_pay, name="shop", about="", now=NOW) is None
    no_kinds = evolve(SERVICE, provider=evolve(SERVICE.provider, kinds=(5100,)))
    assert announce(no_kinds, name="shop", about="", now=NOW) is None
