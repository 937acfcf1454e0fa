"""How a request can end, in the order and the colours in which all dashboards show it."""

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

# Who is to blame; what is missing here is completed.
GROUPS = {
    "the client left": ("client_disconnected", "client_stalled"),
    "Groq failed": ("upstream_error", "upstream_timeout", "upstream_rate_limited"),
    "we failed": ("internal_error", "persistence_failed"),
    "no room": ("rejected_overload", "rejected_unavailable"),
    "asked for what cannot be": ("invalid_request", "upstream_rejected", "rejected_unauthorized", "rejected_quota"),
    "cut off by a drain": ("draining",),
}
GROUP_COLOURS = dict(
    zip(GROUPS, ("light-blue", "orange", "red", "purple", "super-light-purple", "yellow"), strict=True)
)

# What counts against the promise of availability.
FAILED = (*GROUPS["Groq failed"], *GROUPS["we failed"], *GROUPS["no room"])

# What attempts at Groq came to, and why they were repeated.
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
