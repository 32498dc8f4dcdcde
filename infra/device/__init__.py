"""The reference client of a device: its key, its registration, its certificate, its sessions over mTLS."""
