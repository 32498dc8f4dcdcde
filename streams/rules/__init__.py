"""Rules over the log: the language's evaluation, and the engine that turns inputs and cuts into alert events."""
