"""Long calls of native code that an interrupt can end.

Python runs signal handlers in the main thread, between two of its instructions, so a handler has to wait while that
thread is inside native code. Here the main thread waits in Python instead, and another thread makes the call.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Thread, current_thread, main_thread
from typing import TypeVar

#: Seconds that a cancelled call is given to end before the interrupt goes on without it.
PATIENCE = 0.5
#: Seconds between looks at signals that another thread has received.
TURN = 0.2

Result = TypeVar("Result")


def interruptible(
    call: Callable[[], Result], cancel: Callable[[], None], look: Callable[[], object] | None = None
) -> Result:
    """The result of `call`, or what it raises. It must release Python's lock while it works.

    cancel: asks the call to end soon, and is called when a signal handler or `look` raises an exception. That exception
    is raised here; a call that takes no notice is left running in its thread, which the interpreter waits for when it
    exits. look: is called by this thread every TURN meanwhile.
    """
    if look is None and current_thread() is not main_thread():
        return call()
    outcome: Future[Result] = Future()

    def work(outcome: Future[Result]) -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            del outcome  # it keeps the error, and that this frame: they would wait for the garbage collector

    worker = Thread(target=work, args=[outcome], name="edgecodec-engine")
    try:
        try:
            worker.start()
        except RuntimeError:  # too many threads, or the interpreter is on its way out
            pass
        else:
            # A signal that another thread was given wakes this one at its next turn only.
            while not wait([outcome], TURN).done:
                if look is not None:
                    look()
            return outcome.result()
    except BaseException:
        if not outcome.done():
            cancel()
            wait([outcome], PATIENCE)
        raise
    finally:
        del outcome  # for the same reason
    return call()
