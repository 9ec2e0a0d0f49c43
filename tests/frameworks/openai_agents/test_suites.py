"""The tests of the SDK, with our session in the place of two of its own."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.frameworks.certificates import certify
from tests.frameworks.upstream import Outcome, run_suite, sdist
from treadle import open_store

VERSION = "0.24.0"
SIMPLE = [
    "deferred_session_writes",
    "memory/test_compaction_model_visibility.py",
    "memory/test_openai_conversations_session.py",
    "memory/test_openai_responses_compaction_session.py",
    "test_agent_runner.py",
    "test_agent_runner_streamed.py",
    "test_cancel_streaming.py",
    "test_handoff_history_duplication.py",
    "test_hitl_session_scenario.py",
    "test_invalid_final_output_handler.py",
    "test_max_turns.py",
    "test_run_impl_resume_paths.py",
    "test_run_state_pending_input.py",
    "test_runner_guardrail_resume.py",
    "utils/test_simple_session.py",
]
"""The files with tests that make a `SimpleListSession`."""
SQLITE = [
    "extensions/memory/test_encrypt_session.py",
    "memory/test_compaction_model_visibility.py",
    "memory/test_compaction_suffix.py",
    "memory/test_openai_responses_compaction_session.py",
    "memory/test_session.py",
    "memory/test_session_limit.py",
    "test_agent_runner.py",
    "test_agent_runner_streamed.py",
    "test_max_turns.py",
    "test_native_tool_failure_history.py",
    "test_run_impl_resume_paths.py",
    "test_soft_cancel.py",
    "test_tool_batch_failure_history.py",
    "test_tool_failure_boundaries.py",
]
"""The files with tests that make a `SQLiteSession`."""

DIFFERENCES = {
    "they look into its connections, its locks or its tables": [
        "test_cancelled_suffix_transaction_settles_before_newer_append",
        "test_failed_encrypted_suffix_transaction_preserves_original_tokens",
        "test_handoff_resume_after_cancelled_compaction_commits",
        "test_settled_clear_failure_invalidates_response_chain",
        "test_settled_pop_failure_invalidates_response_chain",
        "test_sqlite_session_close_closes_worker_thread_connections",
        "test_sqlite_session_close_retries_quarantined_connection",
        "test_sqlite_session_closes_retired_connections_before_the_next_allocation",
        "test_sqlite_session_failed_add_items_releases_write_lock",
        "test_sqlite_session_failed_clear_session_rolls_back",
        "test_sqlite_session_failed_pop_item_releases_write_lock",
        "test_sqlite_session_file_lock_is_shared_across_instances",
        "test_sqlite_session_keeps_connections_of_live_worker_threads",
        "test_sqlite_session_post_commit_cancellation_propagates_after_known_outcome",
        "test_sqlite_session_reaps_connections_from_exited_worker_threads",
        "test_sqlite_session_rollback_failure_evicts_connection",
        "test_suffix_transaction_rolls_back_failed_insert",
    ],
    "they write rows that are not JSON, which it skips; Treadle raises CorruptRecord": [
        "test_sqlite_session_get_items_limit_skips_corrupt_newest_rows",
        "test_sqlite_session_get_items_session_settings_limit_skips_corrupt_rows",
        "test_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows",
        "test_sqlite_session_pop_item_skips_corrupt_most_recent",
    ],
    "EncryptedSession checks an item before it goes for a SQLiteSession only, by its type": [
        "test_encrypted_pop_authentication_is_atomic_with_concurrent_mutations",
        "test_encrypted_pop_cancellation_waits_for_authentication_rollback",
        "test_encrypted_pop_rechecks_authentication_after_expired_tail",
        "test_encrypted_pop_wrong_key_preserves_recoverable_history",
        "test_encrypted_pop_wrong_key_preserves_row_identity",
    ],
    "a negative limit means all items to SQLite, and none to Treadle": [
        "test_encrypted_session_scan_budget_rejects_negative_limit_before_read",
    ],
    "a store is closed, not a session: the error is StoreClosed": [
        "test_sqlite_session_closed_rejects_empty_add_items",
    ],
}
"""What Treadle does differently than `SQLiteSession`, and the tests that show it."""


def run(folder: Path, replaced: str, kind: str, files: list[str], url: str = "") -> Outcome:
    return run_suite(
        sdist("openai-agents", VERSION),
        [f"tests/{file}" for file in files],
        plugin="openai_agents_sessions",
        counted="treadle.integrations.openai_agents:TreadleSession",
        results=folder,
        environment={"TREADLE_REPLACED": replaced, "TREADLE_KIND": kind, "TREADLE_URL": url},
        timeout=800,
    )


def record(suite: str, kind: str, outcome: Outcome) -> None:
    certify(
        "OpenAI Agents, session",
        ["openai-agents"],
        suite,
        kind,
        passed=outcome.passed,
        total=outcome.total,
    )


def test_the_sdks_tests_pass_with_our_session_for_their_simple_one(tmp_path: Path) -> None:
    outcome = run(tmp_path, "simple", "sqlite", SIMPLE)
    assert (outcome.passed, outcome.failed, outcome.skipped) == (1289, (), ()), outcome.output
    assert outcome.made == 665, outcome.output
    record("the SDK's tests, as their SimpleListSession", "sqlite", outcome)


def test_the_sdks_tests_pass_with_our_session_for_sqlite_but_for_known_differences(
    tmp_path: Path,
) -> None:
    outcome = run(tmp_path, "sqlite", "sqlite", SQLITE)
    failed = {name.rpartition("::")[2].partition("[")[0] for name in outcome.failed}
    assert failed == {name for names in DIFFERENCES.values() for name in names}, outcome.output
    assert (outcome.passed, len(outcome.failed)) == (1178, 39), outcome.output
    assert outcome.made == 418, outcome.output
    record("the SDK's tests, as its SQLiteSession", "sqlite", outcome)


@pytest.mark.parametrize("kind", ["memory", "files", "postgres"])
async def test_a_sample_of_the_sdks_tests_passes_on_the_other_backends(
    kind: str, new_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_url(kind)
    async with open_store(url, migrate=True):
        pass  # it has its schema now
    sample = ["deferred_session_writes", "test_hitl_session_scenario.py"]
    results = tmp_path / "results"
    results.mkdir()
    outcome = await asyncio.to_thread(run, results, "simple", kind, sample, url)
    assert (outcome.passed, outcome.failed, outcome.skipped) == (162, (), ()), outcome.output
    assert outcome.made == 159, outcome.output
    record("a sample of the SDK's tests, as their SimpleListSession", kind, outcome)
