"""The shapes that `chat_logs` could have, each in a database of its own, and the rows that fill them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

MONTHS = 12

_FIRST_ID = """
CREATE FUNCTION first_id(month int) RETURNS uuid LANGUAGE sql AS $$
  SELECT rpad(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
  FROM (SELECT timestamptz '{first}' + month * interval '30 days' AS at) AS begins
$$
"""
_PARTITIONS = """
DO $$ BEGIN
  FOR n IN 0..{months} LOOP
    EXECUTE format('CREATE TABLE chat_logs_%s PARTITION OF chat_logs FOR VALUES FROM (%L) TO (%L)', n, first_id(n),
                   first_id(n + 1));
  END LOOP;
END $$
"""
_DROP_INDEX = "DROP INDEX ix_chat_logs_created_at"


@dataclass(frozen=True)
class Shape:
    """`statements` make it of the table that the migrations left."""

    name: str
    statements: Sequence[str] = ()


def shapes(first: datetime) -> list[Shape]:
    """The ids of the partitioned one begin at `first`: months of thirty days from there, and one more."""
    by_month = [
        _FIRST_ID.format(first=first.isoformat()),
        "ALTER TABLE chat_logs RENAME TO one_table",
        "CREATE TABLE chat_logs (LIKE one_table INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id)",
        "DROP TABLE one_table",
        "CREATE INDEX ON chat_logs (created_at)",
        _PARTITIONS.format(months=MONTHS),
    ]
    return [
        Shape("one table"),
        Shape("BRIN on created_at", [_DROP_INDEX, "CREATE INDEX ON chat_logs USING brin (created_at)"]),
        Shape("no index on created_at", [_DROP_INDEX]),
        Shape("a table for each month", by_month),
    ]


_FILL = """
INSERT INTO chat_logs (id, created_at, client, trace_id, requested_model, model_name, prompt, messages, params,
                       response, outcome, http_status, finish_reason, prompt_tokens, completion_tokens, usage_source,
                       cost_usd, ttft_ms, duration_ms, queue_ms, attempts)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8'
        || substr(hash, 4, 15))::uuid,
       at, 'client-' || n % 20, hash, model, model, question,
       jsonb_build_array(jsonb_build_object('role', 'system', 'content', question),
                         jsonb_build_object('role', 'user', 'content', question)),
       '{"stream": true, "temperature": 0.5}', answer,
       CASE WHEN n % 100 = 0 THEN 'upstream_error' WHEN n % 33 = 0 THEN 'client_disconnected' ELSE 'completed' END,
       200, 'stop', 40, 200, 'upstream', 0.00002, 50 + n % 500, 600 + n % 3000, 0.01, 1
FROM (SELECT timestamptz 'FIRST' AS first, timestamptz 'LAST' AS last) AS ends,
     generate_series(1, ROWS) AS n,
LATERAL (SELECT first + n * (last - first) / ROWS AS at, md5(n::text) AS hash,
                (ARRAY['openai/gpt-oss-20b', 'openai/gpt-oss-120b', 'other'])[1 + n % 3] AS model) AS facts,
LATERAL (SELECT string_agg(md5((n * 41 + i)::text), ' ') AS answer FROM generate_series(1, 25) AS i) AS answers,
LATERAL (SELECT substr(answer, 1, 200) AS question) AS questions
"""


def fill(first: datetime, last: datetime, rows: int) -> str:
    """Rows at equal distances, 2 KB each: a question, an answer of two hundred tokens, and the facts."""
    return _FILL.replace("FIRST", first.isoformat()).replace("LAST", last.isoformat()).replace("ROWS", str(rows))
