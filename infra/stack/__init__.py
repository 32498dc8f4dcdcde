"""The local stack: the processes of `fleetlog up`, how they are started, watched, restarted and stopped."""
