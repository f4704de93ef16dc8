"""PyTorch on one thread, where last bits end up in files.

How many threads share a convolution decides the order of its sums, and with it the last bits of its results. Integers
of entropy.bin turn on such bits now and then, and with them the model id. One thread always adds in the same order; a
machine that has more of them observes several photographs at a time instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import torch

PICTURES_AT_ONCE = 4  # at most: through the largest networks each takes some hundred megabytes


@contextmanager
def one_thread() -> Iterator[Executor]:
    """PyTorch on one thread, here and in every worker of the executor that is given; afterwards as it was.

    There are as many workers as PyTorch had threads, up to PICTURES_AT_ONCE.
    """
    threads = torch.get_num_threads()
    # With OpenMP the number is that of the thread that sets it, and of threads that are started later.
    workers = ThreadPoolExecutor(min(threads, PICTURES_AT_ONCE), initializer=torch.set_num_threads, initargs=(1,))
    torch.set_num_threads(1)
    try:
        yield workers
    finally:
        workers.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
