"""How the commands on views answer for what goes wrong: a sentence on standard error and an exit code."""

import signal
from collections.abc import Callable
from types import FrameType

from infra.cli.command import fail


def answered(work: Callable[[], int]) -> int:
    """The exit code of `work`, or that of its failure. A request to end (SIGTERM) is treated as Ctrl-C is."""
    from connectors.ports import Away, Conflict, Moved, Superseded
    from infra.rebuild_processes import ProcessFailed
    from projections.catalogue import UnknownView
    from schemas.wire import UnknownSchema
    from streams.folding import Stalled
    from streams.partial import TooBusy
    from streams.rebuild import BehindLive, Interrupted, TakenOver
    from streams.runner import Gap

    not_as_asked = (BehindLive, Interrupted, TakenOver, TooBusy, ProcessFailed)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return work()
    except UnknownView as error:
        return fail(str(error), 2)
    except (Away, Stalled) as error:
        return fail(str(error), 3)
    except UnknownSchema as error:
        return fail(f"a record names a schema that the registry does not have: {error}", 1)
    except (*not_as_asked, Gap, Moved, Conflict, Superseded, ValueError) as error:
        return fail(str(error), 1)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
