"""fleetlog's embedded ClickHouse server: one process, one chDB engine on one data directory, spoken to in ClickHouse's
native TCP protocol and over HTTP. `python -m infra.chserver --help` tells how to start it.

    server -> native, http -> engine -> binding (chDB's extension module)

What comes over the wire is handed to the engine as it came, and results go out as the engine made them; this package
adds connections, authentication, framing, limits and a clean stop. There is no TLS: it is made for loopback.
"""
