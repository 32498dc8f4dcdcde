"""What holds for all tests."""

import hypothesis


def pytest_configure() -> None:
    """A test's time is bounded as a whole (pytest-timeout); an example that is slow once, on a busy machine, is no fault."""
    hypothesis.settings.register_profile("fleetlog", deadline=None)
    hypothesis.settings.load_profile("fleetlog")
