"""Retry a call with exponential backoff."""

import time


def retry_with_backoff(call, attempts=5, first_delay_s=0.1):
    """Runs `call` until it succeeds; doubles the delay after each failure."""
    delay = first_delay_s
    for attempt in range(attempts):
        try:
            return call()
        except OSError:
            if attempt + 1 == attempts:
                raise
            time.sleep(delay)
            delay *= 2
