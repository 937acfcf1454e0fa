"""The mutated modules, and the tests that are responsible for them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`tests` are files, which run in this order until a test fails: fast ones first."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


TARGETS = (
    Target(
        modules=(
            "app/services/chat_service.py",
            "app/services/chat/admission.py",
            "app/services/chat/block.py",
            "app/services/chat/chat_record.py",
            "app/services/chat/session.py",
            "app/services/chat/timeouts.py",
            "app/services/chat/timing.py",
            "app/services/chat/usage.py",
        ),
        tests=(
            "tests/services/test_chat_service.py",
            "tests/services/chat/test_admission.py",
            "tests/services/chat/test_block.py",
            "tests/services/chat/test_drain.py",
            "tests/services/chat/test_resources.py",
            "tests/services/chat/test_session.py",
            "tests/services/chat/test_session_record.py",
            "tests/services/chat/test_timeouts.py",
            "tests/services/chat/test_timing.py",
            "tests/services/chat/test_usage.py",
            "tests/api/test_chat_stream.py",
            "tests/api/test_outcomes.py",
            "tests/api/test_non_streaming.py",
        ),
    ),
    Target(
        modules=("app/services/groq/sse_decoder.py", "app/services/groq/chunks.py"),
        tests=(
            "tests/services/groq/test_sse_decoder.py",
            "tests/services/groq/test_sse_decoder_failures.py",
            "tests/services/groq/test_chunks.py",
            "tests/services/groq/test_chunk_limits.py",
            "tests/services/groq/test_progress.py",
            "tests/api/test_unexpected_upstream.py",
        ),
    ),
    Target(
        modules=("app/services/groq/retry.py",),
        tests=(
            "tests/services/groq/test_retry_policy.py",
            "tests/services/groq/test_retry.py",
            "tests/services/test_groq_client.py",
        ),
    ),
    Target(
        modules=(
            "app/db/writer.py",
            "app/db/commits.py",
            "app/db/outbox.py",
            "app/db/outbox_file.py",
            "app/db/outbox_folder.py",
            "app/db/replay.py",
            "app/db/reservations.py",
        ),
        tests=(
            "tests/db/test_commits.py",
            "tests/db/test_writer.py",
            "tests/db/test_writer_batches.py",
            "tests/db/test_outbox.py",
            "tests/db/test_outbox_hanging.py",
            "tests/db/test_outbox_damage.py",
            "tests/db/test_outbox_gauges.py",
            "tests/db/test_replay_batches.py",
            "tests/db/test_replay.py",
            "tests/db/test_outbox_file.py",
            "tests/db/test_outbox_folder.py",
            "tests/db/test_outbox_processes.py",
            "tests/db/test_replay_failures.py",
        ),
    ),
)
