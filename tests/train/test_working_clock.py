"""The hours of a run are those in which it worked, and not those in which its process was stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from edgecodec_train.working_clock import WorkingClock
from support.paths import ENVIRONMENT

#: Tells its seconds after every line of its input.
TELLS = """
import sys
from edgecodec_train.working_clock import WorkingClock
with WorkingClock(tick=0.05, longest_tick=0.5) as clock:
    for line in sys.stdin:
        print(clock.seconds(), flush=True)
"""


def test_a_process_that_is_stopped_does_not_work() -> None:
    command = [sys.executable, "-c", TELLS]
    with subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        asks, answers = process.stdin, process.stdout
        assert asks is not None and answers is not None

        def told() -> float:
            asks.write(b"\n")
            asks.flush()
            return float(answers.readline())

        before = told()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        assert told() - before < 2
        asks.close()


def test_time_in_which_it_runs_counts() -> None:
    with WorkingClock(tick=0.01) as clock:
        began = time.monotonic()
        time.sleep(0.2)
        assert 0.2 <= clock.seconds() <= time.monotonic() - began + 0.1
