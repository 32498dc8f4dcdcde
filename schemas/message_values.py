"""The enumerations that commands and events share: the symbols are those of the avsc, in their order."""

from typing import Literal

RegistrationType = Literal["qr_code", "pin_code", "qr_with_pin_fallback"]
Credential = Literal["token", "pin"]
Admission = Literal["claim", "pre_registration"]
KeyMode = Literal["csr", "server"]
Purpose = Literal["registration", "renewal", "rotation"]
RevocationReason = Literal[
    "unspecified",
    "key_compromise",
    "ca_compromise",
    "affiliation_changed",
    "superseded",
    "cessation_of_operation",
    "certificate_hold",
    "privilege_withdrawn",
    "aa_compromise",
]
DeviceState = Literal[
    "uninitialized",
    "initializing",
    "setup_mode",
    "configuring",
    "connecting",
    "network_ready",
    "claiming",
    "activating",
    "operational",
    "updating",
    "reconnecting",
    "error",
]
Selector = Literal["owner", "model", "all"]
