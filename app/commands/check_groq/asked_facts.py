"""What is assumed about Groq and asked for by `check-groq`."""

from app.commands.check_groq import findings
from app.commands.check_groq.fact import DOCS, About, Fact, Tests
from app.core.models import LAST_KNOWN_PRICES, RETIRED_MODELS

_CATALOGUE = f"{Tests.MODELS}::test_the_catalogue_has_what_groq_s_has"
_OPENS_AND_CLOSES = f"{Tests.WIRE}::test_a_stream_opens_with_a_role_and_closes_with_usage_in_both_places"
_LIVE_STREAM = ("NeuralTrust/TrustGate", "gosh-sh/dexdo")
"""Recordings of both gpt-oss in their tests, of August 2026."""
_PRICE_SOURCES = {
    "openai/gpt-oss-20b": ("2026-05-27", "anomalyco/models.dev#1871", "BerriAI/litellm#19309"),
    "openai/gpt-oss-120b": ("2026-05-27", "anomalyco/models.dev#1871", "BerriAI/litellm#19309"),
    "qwen/qwen3.6-27b": ("2026-07-27", "anomalyco/models.dev#3761"),
    "qwen/qwen3.8-27b": ("2026-08-29", "anomalyco/models.dev#5742"),
}

_PRICES = [
    Fact(
        about=About.MODELS,
        name=name,
        says=f"is served, for ${price.input:g} in, ${price.output:g} out, ${price.cached_input:g} cached, per million",
        seen=_PRICE_SOURCES[name][0],
        sources=_PRICE_SOURCES[name][1:],
        test=f"{Tests.MODELS}::test_prices_are_dollars_per_token",
        check=findings.price(name, price),
    )
    for name, price in LAST_KNOWN_PRICES.items()
]

ASKED = [
    *_PRICES,
    Fact(
        about=About.MODELS,
        name="retired models",
        says=f"{', '.join(RETIRED_MODELS)} are not served (free and developer plans, since 2026-08-16)",
        seen="2026-08-18",
        sources=("ITSpecialist111/ai_automation_suggester#187", "groq/groq-changelog#20"),
        test=f"{Tests.REFUSALS}::test_a_model_that_was_retired_is_as_unknown_as_one_that_never_was",
        check=findings.retired_are_not_listed,
    ),
    Fact(
        about=About.MODELS,
        name="GET /models",
        says="lists id, object, created, owned_by; `pricing` in dollars per token, as strings, where there is a price",
        seen="2026-07-27",
        sources=("anomalyco/models.dev#3761", "enterpilot/gomodel"),
        test=_CATALOGUE,
        check=findings.entries,
    ),
    Fact(
        about=About.MODELS,
        name="sizes of models",
        says="are context_length and max_output_length, or context_window and max_completion_tokens: sources disagree",
        seen="2026-08-29",
        sources=("anomalyco/models.dev#3761", "anomalyco/models.dev#5742", "enterpilot/gomodel"),
        test=_CATALOGUE,
        check=findings.sizes,
    ),
    Fact(
        about=About.STREAM,
        name="events",
        says="are `data:` lines of JSON in text/event-stream; the last is `[DONE]`",
        seen="2026-08-12",
        sources=_LIVE_STREAM,
        test=_OPENS_AND_CLOSES,
        check=findings.events,
    ),
    Fact(
        about=About.STREAM,
        name="opening chunk",
        says="has a role, an empty content and x_groq.id: no token yet",
        seen="2026-08-12",
        sources=_LIVE_STREAM,
        test=_OPENS_AND_CLOSES,
        check=findings.opening,
    ),
    Fact(
        about=About.STREAM,
        name="reasoning of gpt-oss",
        says='is on by default, and comes as `reasoning` with `channel: "analysis"` before the content',
        seen="2026-09-17",
        sources=(*_LIVE_STREAM, "lazy-hq/aisdk#123"),
        test=f"{Tests.WIRE}::test_models_that_reason_say_so_each_in_its_way",
        check=findings.reasoning,
    ),
    Fact(
        about=About.STREAM,
        name="final chunk",
        says="has an empty delta, the finish_reason, and the same usage as `usage` and as `x_groq.usage`",
        seen="2026-08-12",
        sources=_LIVE_STREAM,
        test=_OPENS_AND_CLOSES,
        check=findings.final,
    ),
    Fact(
        about=About.STREAM,
        name="include_usage",
        says="adds a chunk without choices: usage and service_tier",
        seen="2026-08-27",
        sources=(*_LIVE_STREAM, "withceleste/celeste-python#351", "Portkey-AI/gateway#1072"),
        test=f"{Tests.WIRE}::test_usage_on_its_own_only_where_it_is_asked_for",
        check=findings.usage_alone,
    ),
    Fact(
        about=About.STREAM,
        name="usage",
        says="counts tokens as integers, reasoning among the completion's, and has four times in seconds",
        seen="2026-08-12",
        sources=_LIVE_STREAM,
        test=_OPENS_AND_CLOSES,
        check=findings.usage,
    ),
    Fact(
        about=About.STREAM,
        name="id",
        says="is the same in all chunks of an answer (but for groq/compound)",
        seen="2026-08-12",
        sources=_LIVE_STREAM,
        test=_OPENS_AND_CLOSES,
        check=findings.one_id,
    ),
    Fact(
        about=About.WHOLE,
        name="chat.completion",
        says="has finish_reason, message.content, message.reasoning, usage and x_groq.id",
        seen="2026-03-07",
        sources=("vercel/ai#13192", "groq-python 1.7.0"),
        test=f"{Tests.WIRE}::test_without_streaming_the_answer_is_one_object",
        check=findings.whole,
    ),
    Fact(
        about=About.WHOLE,
        name="structured outputs",
        says="fit the schema of `response_format`, on gpt-oss with `strict`",
        seen="2026-07-12",
        sources=(f"{DOCS}/structured-outputs", "jgravelle/GroqApiLibrary#33"),
        test=f"{Tests.JSON}::test_openai_s_client_parses_structured_outputs",
        check=findings.structured,
    ),
    Fact(
        about=About.ERRORS,
        name="unknown model",
        says="and one retired in 2026 is a 404 `model_not_found`",
        seen="2026-08-18",
        sources=("ITSpecialist111/ai_automation_suggester#187", "agno-agi/agno#9055"),
        test=f"{Tests.REFUSALS}::test_a_model_that_was_retired_is_as_unknown_as_one_that_never_was",
        check=findings.not_found,
    ),
    Fact(
        about=About.ERRORS,
        name="wrong key",
        says="is a 401 `invalid_api_key`, without rate-limit headers",
        seen="2026-03-10",
        sources=("nark/WiredSwift#44", "ag5826000/resume-commentor#4"),
        test=f"{Tests.REFUSALS}::test_without_a_key_nothing_is_answered",
        check=findings.unauthorized,
    ),
    Fact(
        about=About.LIMITS,
        name="x-ratelimit-…",
        says="tell requests of the day and tokens of the minute: limit, remaining, and reset as a Go duration",
        seen="2026-06-04",
        sources=(f"{DOCS}/rate-limits", "Pythagora-io/gpt-pilot#862"),
        test=f"{Tests.LIMITS}::test_the_headers_tell_of_requests_a_day_and_tokens_a_minute",
        check=findings.rate_limit_headers,
    ),
    Fact(
        about=About.LIMITS,
        name="retry-after",
        says="comes with 429 alone, in whole seconds",
        seen="2026-06-04",
        sources=(f"{DOCS}/rate-limits", "Pythagora-io/gpt-pilot#862"),
        test=f"{Tests.LIMITS}::test_headers_and_refusals_come_over_http",
        check=findings.no_retry_after,
    ),
    Fact(
        about=About.REFUSED,
        name="streamed JSON",
        says="`response_format` of JSON kinds with `stream`",
        seen="2026-07-12",
        sources=("langchain-ai/langchain#23629", "jgravelle/GroqApiLibrary#33", "against it: TanStack/ai#527"),
        test=f"{Tests.REFUSALS}::test_what_groq_refuses_is_refused",
        check=findings.no_streamed_json,
    ),
]
