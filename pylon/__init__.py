"""Pylon: a node that sells and buys inference over Nostr and Lightning."""

__version__ = "0.1.0"
