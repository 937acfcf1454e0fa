"""When a failed attempt is repeated, and after which wait: tenacity's policy for a chat, until its first token."""

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


def create_retry_policy(*, max_attempts: int, sleep_budget_s: float, deadline_s: float) -> AsyncRetrying:
    """Allows `max_attempts` within `deadline_s`, and sleeps `sleep_budget_s` in all between them.

    Raises the error of the last attempt.
    """
    return AsyncRetrying(
        retry=retry_if_exception(_is_retryable),
        wait=_wait_s,
        stop=stop_any(
            stop_after_attempt(max_attempts), stop_before_delay(deadline_s), _StopAtSleepBudget(sleep_budget_s)
        ),
        reraise=True,
    )


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, ServiceError) and error.retryable


def _wait_s(state: RetryCallState) -> float:
    """`Retry-After` if Groq sent one, with a jitter so that clients do not retry at the same moment; else a backoff."""
    error = state.outcome and state.outcome.exception()
    retry_after = error.retry_after if isinstance(error, ServiceError) else None
    return _backoff(state) if retry_after is None else retry_after + _jitter(state)


class _StopAtSleepBudget(stop_base):
    """A sleep that exceeds the budget is not begun: the client receives the error, and its `Retry-After`, at once."""

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s

    def __call__(self, retry_state: RetryCallState) -> bool:
        return retry_state.idle_for + retry_state.upcoming_sleep > self._budget_s
