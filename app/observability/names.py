"""The names on spans: OpenTelemetry's conventions where there are any, ours where there are none.

The GenAI conventions are in development and have no stable package of constants; docs/observability.md lists them.
"""

from app.core.record import Kept

CHAT_SPAN = "chat"
ATTEMPT_SPAN = "groq.attempt"
ADMISSION_SPAN = "chat.admission"
COMMIT_SPAN = "chat_logs.commit"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_SEED = "gen_ai.request.seed"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
HTTP_METHOD = "http.request.method"
HTTP_STATUS = "http.response.status_code"
RESEND_COUNT = "http.request.resend_count"
DB_SYSTEM = "db.system.name"

CHAT_ID = "chat.id"
OUTCOME = "chat.outcome"
TTFT = "chat.ttft_s"
TIME_PER_OUTPUT_TOKEN = "chat.time_per_output_token_s"  # noqa: S105 - a token of text # nosec B105
LONGEST_SILENCE = "chat.longest_silence_s"
OVERHEAD = "chat.overhead_s"
ATTEMPTS = "chat.attempts"
COST = "chat.cost_usd"
BYTES = "chat.bytes"
BACKPRESSURE = "chat.backpressure_s"
USAGE_SOURCE = "chat.usage_source"
GROQ_REQUEST_ID = "groq.request_id"
GROQ_QUEUE_TIME = "groq.queue_time"
GROQ_PROMPT_TIME = "groq.prompt_time"
GROQ_COMPLETION_TIME = "groq.completion_time"
CONNECTION_CAUSE = "groq.connection_failure"
REMAINING = "groq.ratelimit.remaining_{kind}"
COMMIT_ROWS = "chat_logs.rows"
COMMIT_PLACE = "chat_logs.place"

FIRST_TOKEN = "first_token"  # noqa: S105 # nosec B105
RETRY = "retry"
STALL = "stall"
CLIENT_DISCONNECTED = "client_disconnected"
DRAINING = "draining"
KEPT = {Kept.DATABASE: "committed", Kept.SPOOL: "spooled", Kept.REJECTED: "rejected"}
WAIT_S = "wait_s"
GAP_S = "gap_s"
