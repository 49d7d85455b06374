"""What an operator can set: `sections` says what there is, `reading` and `writing` the file."""

from pylon.config.sections import (
    BackendsConfig,
    BudgetConfig,
    BuyerConfig,
    Config,
    NodeConfig,
    PricingConfig,
    ProviderConfig,
    RelayConfig,
    WalletConfig,
)

__all__ = [
    "BackendsConfig",
    "BudgetConfig",
    "BuyerConfig",
    "Config",
    "NodeConfig",
    "PricingConfig",
    "ProviderConfig",
    "RelayConfig",
    "WalletConfig",
]
