"""An Electrum wallet (4.3 and later), asked over the JSON-RPC of its daemon.

Electrum keeps no journal, names no changes and forgets what it is told to delete; what more the port
asks for is noted in the wallet's own labels (`notes.py`), so that it goes where the wallet goes.
"""

from pylon.adapters.lightning.electrum.opening import open_electrum

__all__ = ["open_electrum"]
