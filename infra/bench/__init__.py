"""Benches: a part of fleetlog beside its peers, in one run."""
