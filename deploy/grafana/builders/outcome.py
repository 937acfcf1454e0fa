"""Outcomes of requests and results of attempts, in the order and colours of all dashboards."""

WITH_ROW = {
    "completed": "green",
    "client_disconnected": "light-blue",
    "client_stalled": "blue",
    "draining": "yellow",
    "upstream_rejected": "super-light-orange",
    "upstream_rate_limited": "light-orange",
    "upstream_timeout": "orange",
    "upstream_error": "dark-orange",
    "internal_error": "dark-red",
}
WITHOUT_ROW = {
    "invalid_request": "super-light-purple",
    "rejected_unauthorized": "light-purple",
    "rejected_quota": "purple",
    "rejected_overload": "semi-dark-purple",
    "rejected_unavailable": "dark-purple",
    "persistence_failed": "red",
}
COLOURS = WITH_ROW | WITHOUT_ROW

# Outcomes by cause; `completed` is in none.
GROUPS = {
    "client disconnect": ("client_disconnected", "client_stalled"),
    "Groq failure": ("upstream_error", "upstream_timeout", "upstream_rate_limited"),
    "service failure": ("internal_error", "persistence_failed"),
    "no capacity": ("rejected_overload", "rejected_unavailable"),
    "rejected request": ("invalid_request", "upstream_rejected", "rejected_unauthorized", "rejected_quota"),
    "drain": ("draining",),
}
GROUP_COLOURS = dict(
    zip(GROUPS, ("light-blue", "orange", "red", "purple", "super-light-purple", "yellow"), strict=True)
)

# Outcomes that count as errors in the SLO of availability.
FAILED = (*GROUPS["Groq failure"], *GROUPS["service failure"], *GROUPS["no capacity"])

# Results of attempts, which are also the reasons of retries.
RESULT_COLOURS = {
    "ok": "green",
    "cancelled": "light-blue",
    "upstream_rejected": "super-light-orange",
    "rate_limit_exceeded": "light-orange",
    "upstream_timeout": "orange",
    "upstream_unavailable": "semi-dark-orange",
    "upstream_unreachable": "dark-orange",
    "upstream_broken": "light-red",
    "upstream_error": "red",
    "upstream_refused_key": "purple",
    "upstream_model_gone": "semi-dark-purple",
    "internal_error": "dark-red",
}

# Phases in which a request to Groq fails.
PHASE_COLOURS = dict(
    zip(("connect", "before_first_token", "mid_stream"), ("dark-orange", "orange", "red"), strict=True)
)
