"""A Spark wallet made of the node's words, through the SDK of Breez (extra `spark`).

The SDK knows what was paid, and nothing of an invoice before that; so what was asked for, and what
was begun to be paid, is kept in a database beside the SDK's own. Amounts are whole satoshi.
"""

from pylon.adapters.lightning.spark.opening import open_spark

__all__ = ["open_spark"]
