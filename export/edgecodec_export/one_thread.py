"""PyTorch on one thread, so that results are the same to the last bit on every number of threads.

The number of threads that share a convolution decides the order of its sums, and with it the last bits of its results.
Integers of entropy.bin sometimes depend on these bits, and with them the model id. One thread always adds in the same
order; a machine with more threads observes several photographs at a time instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import torch

PICTURES_AT_ONCE = 4  # at most: the largest networks take some hundred megabytes for each


@contextmanager
def one_thread() -> Iterator[Executor]:
    """Run PyTorch on one thread, in the caller and in every worker of the executor that this yields.

    There are as many workers as PyTorch had threads, up to PICTURES_AT_ONCE. The number of threads is restored at the
    end.
    """
    threads = torch.get_num_threads()
    # With OpenMP the number applies to the thread that sets it and to threads that are started later.
    workers = ThreadPoolExecutor(min(threads, PICTURES_AT_ONCE), initializer=torch.set_num_threads, initargs=(1,))
    torch.set_num_threads(1)
    try:
        yield workers
    finally:
        workers.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
