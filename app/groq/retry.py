"""When a failed attempt is tried again, and when it is not: tenacity's policy for one chat, until its first token."""

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_any,
    stop_before_delay,
    wait_random,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from app.core.errors import ServiceError

_backoff = wait_random_exponential(multiplier=0.25, max=5)
_jitter = wait_random(0, 0.1)


def retrying(*, attempts: int, sleep_s: float, total_s: float) -> AsyncRetrying:
    """Tries `attempts` times, sleeps `sleep_s` in all, begins nothing after `total_s`; then raises the last error."""
    return AsyncRetrying(
        retry=retry_if_exception(_is_retryable),
        wait=_wait,
        stop=stop_any(stop_after_attempt(attempts), stop_before_delay(total_s), _StopBeforeSleeping(sleep_s)),
        reraise=True,
    )


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, ServiceError) and error.retryable


def _wait(state: RetryCallState) -> float:
    """`Retry-After` where Groq sent one, and a little more so that clients do not return in step; else a backoff."""
    error = state.outcome and state.outcome.exception()
    retry_after = error.retry_after if isinstance(error, ServiceError) else None
    return _backoff(state) if retry_after is None else retry_after + _jitter(state)


class _StopBeforeSleeping(stop_base):
    """A wait that does not fit the budget is not begun: the client is told at once how long it would have been."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s

    def __call__(self, retry_state: RetryCallState) -> bool:
        return retry_state.idle_for + retry_state.upcoming_sleep > self._budget_s
