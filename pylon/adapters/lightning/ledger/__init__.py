"""Play money that behaves like Lightning: one SQLite file a user, shared by all homes and programs.

Invoices are real BOLT-11 on regtest, signed by the payee's node key; preimages leave the ledger
when money has moved, and not before. It has no value and no channels: no other node can pay it.
"""
