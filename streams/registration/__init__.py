"""The decider of registration: what devices, their owners and the certificate ledger may do, and what follows."""
