"""The life of alerts: what becomes of a condition that has come or gone, and what people do about it. Pure."""
