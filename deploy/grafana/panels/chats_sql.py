"""SQL of the Chats dashboard.

The time range, for which created_at has an index, and a LIMIT bound every query. Only chat ids are found outside the
time range, by the primary key.
"""

from builders.outcome import FAILED, WITH_ROW

OF_USER = "trim(${end_user:sqlstring}) IN ('', coalesce(end_user, ''))"
IN_RANGE = "$__timeFilter(created_at) AND model_name = ANY (ARRAY[${model:sqlstring}]::text[]) AND " + OF_USER
FILTERED = IN_RANGE + " AND outcome IN (${outcome:sqlstring})"
FAILURES = IN_RANGE + " AND outcome IN ({})".format(", ".join(f"'{name}'" for name in FAILED if name in WITH_ROW))

MODELS = "SELECT DISTINCT model_name FROM chat_logs WHERE $__timeFilter(created_at) ORDER BY 1 LIMIT 100"


def _filled(query: str, **parts: str) -> str:
    """The query with other constants of this file inserted; Grafana quotes the user's input (`:sqlstring`)."""
    for name, part in parts.items():
        query = query.replace(name, part)
    return query


# The chat with this id; otherwise the latest chat of the time range with it as trace id, client request id or one of
# Groq's ids; without an id the latest chat. CASE prevents the cast of a text that is not a UUID.
SELECTED = """
SELECT * FROM (
  (SELECT * FROM chat_logs
   WHERE id = CASE WHEN trim(${id:sqlstring}) ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                   THEN trim(${id:sqlstring})::uuid END)
  UNION ALL
  (SELECT * FROM chat_logs
   WHERE $__timeFilter(created_at) AND trim(${id:sqlstring})
         IN ('', trace_id, client_request_id, upstream_request_id, upstream_response_id)
   ORDER BY created_at DESC LIMIT 1)
) AS found LIMIT 1
"""

SELECTED_TRACE = SELECTED.replace("SELECT *", "SELECT coalesce(trace_id, '')", 1).strip()

# A line for each column, in the table's order; new columns are included.
FACTS = _filled(
    """
SELECT field, coalesce(value, '-') AS value
FROM (SELECTED) AS selected, json_each_text(row_to_json(selected)) WITH ORDINALITY AS facts (field, value, place)
ORDER BY place LIMIT 100
""",
    SELECTED=SELECTED.strip(),
)

_LIST = """
SELECT created_at AS "time", id::text AS id, outcome, error_code AS error, model_name AS model,
       left(prompt, 100) AS prompt, left(response, 100) AS response,
       ttft_ms / 1000 AS "first token", duration_ms / 1000 AS duration, attempts,
       completion_tokens AS tokens, cost_usd AS cost, coalesce(client, '-') AS client, end_user AS "end user",
       trace_id AS trace
FROM chat_logs WHERE CONDITIONS
"""
LAST = _LIST.replace("CONDITIONS", FILTERED) + "ORDER BY created_at DESC LIMIT 100"
SLOWEST = _LIST.replace("CONDITIONS", FILTERED + " AND ttft_ms IS NOT NULL") + "ORDER BY ttft_ms DESC LIMIT 20"
FAILED_CHATS = _LIST.replace("CONDITIONS", FAILURES) + "ORDER BY created_at DESC LIMIT 50"

TOTALS = _filled(
    """
SELECT count(*) AS chats, avg((outcome = 'completed')::int)::float8 AS completed,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY ttft_ms) / 1000 AS "median first token",
       sum(completion_tokens)::float8 AS "output tokens", sum(cost_usd)::float8 AS cost,
       count(DISTINCT client) AS clients
FROM chat_logs WHERE CONDITIONS LIMIT 1
""",
    CONDITIONS=FILTERED,
)

BY_OUTCOME = _filled(
    """
SELECT $__timeGroupAlias(created_at, $__interval), outcome AS metric, count(*) AS value
FROM chat_logs WHERE CONDITIONS
GROUP BY 1, 2 ORDER BY 1 LIMIT 10000
""",
    CONDITIONS=FILTERED,
)

BY_CLIENT = _filled(
    """
SELECT coalesce(client, '-') AS client, count(*) AS chats, sum(prompt_tokens)::float8 AS "input tokens",
       sum(completion_tokens)::float8 AS "output tokens", sum(cost_usd)::float8 AS cost
FROM chat_logs WHERE CONDITIONS
GROUP BY 1 ORDER BY cost DESC NULLS LAST LIMIT 50
""",
    CONDITIONS=FILTERED,
)
