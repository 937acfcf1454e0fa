"""Users who ask, read and ask again, by locust, judged by the service level objectives: `make loadtest`."""

# locust replaces Python's sockets in the process that imports it: only `locustfile` and `summary` do.
