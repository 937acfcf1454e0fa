"""What is assumed about Groq and not asked for by `check-groq`: most of it takes a request for each."""

from app.commands.check_groq.fact import DOCS, About, Fact, Tests


def _refused(name: str, says: str, seen: str, *sources: str) -> Fact:
    test = f"{Tests.REFUSALS}::test_what_groq_refuses_is_refused"
    return Fact(about=About.REFUSED, name=name, says=says, seen=seen, sources=sources, test=test)


UNASKED = [
    Fact(
        about=About.MODELS,
        name="groq/compound",
        says="was to end on 2026-09-21: one source, and no report of its end",
        seen="2026-08-29",
        sources=("accuguide/accuguide#248",),
        test=f"{Tests.WIRE}::test_compound_has_ids_that_change_no_opening_and_a_stub_at_the_end",
    ),
    Fact(
        about=About.STREAM,
        name="reasoning of Qwen",
        says="is in the content, in `<think>`, unless reasoning_format says otherwise",
        seen="2026-08-04",
        sources=("gosh-sh/dexdo", "OpenWhispr/openwhispr#178", f"{DOCS}/reasoning"),
        test=f"{Tests.WIRE}::test_models_that_reason_say_so_each_in_its_way",
    ),
    Fact(
        about=About.WHOLE,
        name="JSON that does not end",
        says="is a 400 `json_validate_failed` with `failed_generation`",
        seen="2025-02-11",
        sources=("thepersonalaicompany/amurex-backend#38", "build-with-groq/g1#23"),
        test=f"{Tests.JSON}::test_json_that_has_no_end_is_refused",
    ),
    Fact(
        about=About.ERRORS,
        name="older retired models",
        says="are a 400 `model_decommissioned`",
        seen="2026-06-17",
        sources=("continuedev/continue#12741", "karthink/gptel#1289", "atiilla/sqlmap-ai#3"),
        test=f"{Tests.REFUSALS}::test_models_that_were_retired_longer_ago_have_a_refusal_of_their_own",
    ),
    Fact(
        about=About.ERRORS,
        name="flex tier without capacity",
        says="is a 498 `capacity_exceeded`",
        seen="2026-06-04",
        sources=(f"{DOCS}/flex-processing",),
        test=f"{Tests.FAULTS}::test_an_error_has_the_body_that_groq_sends_with_it",
    ),
    Fact(
        about=About.LIMITS,
        name="free plan of gpt-oss",
        says="30 requests a minute, 1,000 a day; 8,000 tokens a minute, 200,000 a day",
        seen="2026-08-19",
        sources=(f"{DOCS}/rate-limits", "kb-class28-team1/Wallo#144"),
        test=f"{Tests.LIMITS}::test_the_headers_tell_of_requests_a_day_and_tokens_a_minute",
    ),
    Fact(
        about=About.LIMITS,
        name="a request that is too large",
        says="for the minute's tokens is a 413 with type `tokens` and code `rate_limit_exceeded`",
        seen="2026-06-27",
        sources=("iamsrikanthnani/pluely#242",),
        test=f"{Tests.LIMITS}::test_headers_and_refusals_come_over_http",
    ),
    Fact(
        about=About.LIMITS,
        name="cached tokens",
        says="are part of prompt_tokens, stand in prompt_tokens_details, and do not count toward the limits",
        seen="2026-07-11",
        sources=("vercel/ai#17117", "NeuralTrust/TrustGate", f"{DOCS}/prompt-caching"),
        test=f"{Tests.COST}::test_input_that_groq_had_in_its_cache_has_a_price_of_its_own",
    ),
    _refused("JSON and tools", "`response_format` of JSON kinds with `tools`", "2026-07-01", "vercel/ai#16540"),
    _refused("JSON mode", "`json_object` without the word json in a message", "2025-07-15", "vercel/ai#7303"),
    _refused(
        "unknown properties",
        "of the request",
        "2026-07-14",
        "mnfst/modelparams.dev#114",
        "CherryHQ/cherry-studio#11435",
    ),
    _refused("metadata", "whatever it holds", "2026-04-18", "skye-harris/hass_local_openai_llm#59"),
    _refused("store", "true or false", "2026-05-02", "fanenr/chatbot#21", "Gitlawb/openclaude#983"),
    _refused("logprobs", "top_logprobs and logit_bias", "2026-06-04", f"{DOCS}/openai", "against it: gosh-sh/dexdo"),
    _refused("messages[].name", "but for tools", "2026-06-04", f"{DOCS}/openai", "against it: groq-python 1.7.0"),
    _refused("reasoning_content", "in a message, as any unknown property", "2026-06-15", "agentjido/req_llm#772"),
    _refused("reasoning_format", "of a model that does not reason", "2025-12-09", "0xPlaygrounds/rig#1134"),
    _refused(
        "include_reasoning",
        "together with `reasoning_format`",
        "2026-08-28",
        "Ravishka17/AskLab-AI-Bot",
        "groq-python 1.7.0",
    ),
    _refused("raw reasoning", "`reasoning_format: raw` with tools or JSON", "2026-06-04", f"{DOCS}/reasoning"),
    _refused(
        "reasoning_effort",
        "that a model does not have: gpt-oss has low, medium, high; qwen3.6 none, default; qwen3.8 all five",
        "2026-08-28",
        "DataTalksClub/llm-zoomcamp#183",
        "Alishahryar1/free-claude-code#1348",
        "groq-python 1.7.0",
        "against it, of qwen3.8: anomalyco/models.dev#5742",
    ),
    _refused(
        "max_completion_tokens",
        "above the model's: 65,536 of gpt-oss, 16,384 of Qwen",
        "2026-08-07",
        "Alishahryar1/free-claude-code#1354",
    ),
]
