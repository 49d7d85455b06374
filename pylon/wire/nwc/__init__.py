"""Nostr Wallet Connect as it travels (NIP-47): the connection string, the events, what is in them."""
