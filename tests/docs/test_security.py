"""docs/security.md: each sentence and row has its tests, and the table is the code's."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from app.accounts.access import ALLOWED, Permission, Role
from app.accounts.keys import Scope

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()

# What the tests below are called by.
PATHS = {
    **{name: f"tests/api/test_{name}.py" for name in (
        "access", "accounts", "benchmark_token", "cors", "deletion", "edge", "erasure", "floods",
        "injection", "keys", "metrics", "mirror", "passwords", "projects", "proxies",
        "redis_faults", "service", "sessions", "sockets", "stats", "throttle",
    )},
    **{name: f"tests/unit/app/test_{name}.py" for name in (
        "logs", "permissions", "secrets", "tokens",
    )},
    "attempts": "tests/integration/test_attempts.py",
    "local_servers": "tests/integration/test_local_servers.py",
    "mirror_erasure": "tests/mirror/test_erasure.py",
    "quick_start": "tests/docs/test_quick_start.py",
    "schema": "tests/integration/test_schema.py",
    "security": "tests/docs/test_security.py",
    "user": "tests/cli/test_user.py",
}  # fmt: skip
# The first words of each sentence or row, and the tests that fail when it stops being true.
TESTS: dict[str, tuple[str, ...]] = {
    "Who may do what": ("security::test_every_statement_has_tests_that_exist",),
    "Each sentence and each row": ("security::test_every_statement_has_tests_that_exist",),
    # What is to be kept
    "events of a project |": (
        "access::test_project_sees_its_own_events_only",
        "projects::test_events_sent_by_a_user_go_to_the_project_they_name",
        "erasure::test_another_project_s_events_and_receipts_are_out_of_reach",
    ),
    "events of the forgotten |": (
        "erasure::test_exactly_one_user_is_erased_whatever_the_id",
        "erasure::test_the_receipt_says_when_all_is_done",
        "mirror_erasure::test_a_new_file_never_held_the_erased",
    ),
    "accounts and sessions |": ("sessions::test_sessions_are_listed_and_ended_by_their_user_only",),
    "keys and invitations |": (
        "keys::test_a_key_is_shown_once",
        "access::test_key_itself_is_not_stored",
        "projects::test_the_secret_of_an_invitation_is_not_stored",
    ),
    "the machine's time |": (
        "throttle::test_a_key_over_its_limit_is_told_when_to_come_again",
        "throttle::test_other_requests_are_limited_by_user",
        "mirror::test_more_questions_than_may_wait_are_refused_at_once",
        "passwords::test_passwords_are_hashed_few_at_once_and_the_rest_is_told_to_come_again",
        "sockets::test_slow_senders_take_nobody_elses_turn",
    ),
    # Who calls, and what they may do
    "A caller is an API key": (
        "permissions::test_every_scope_and_role_has_its_line",
        "permissions::test_callers_are_told_apart_by_name",
        "projects::test_a_user_of_one_project_need_not_name_it",
    ),
    "One table in the code": ("security::test_the_table_says_what_the_code_allows",),
    "An ingest key may lie": (
        "permissions::test_a_key_sends_or_asks_and_nothing_else",
        "access::test_roles_and_scopes_do_what_they_may_and_nothing_else",
    ),
    "The project is the key's own": (
        "projects::test_a_key_may_name_its_own_project_and_no_other",
        "projects::test_a_user_of_one_project_need_not_name_it",
    ),
    "Every route has a rule": (
        "access::test_every_route_has_a_rule",
        "access::test_the_description_says_which_routes_take_a_credential",
    ),
    "Without a valid credential": (
        "access::test_nobody_is_let_in_without_a_valid_credential",
        "access::test_an_unknown_key_is_answered_as_one_that_was_revoked_or_has_expired",
    ),
    "Another's project is answered 404": (
        "access::test_another_s_project_is_not_there",
        "projects::test_a_key_may_name_its_own_project_and_no_other",
    ),
    "A role or scope does what the table says": (
        "access::test_roles_and_scopes_do_what_they_may_and_nothing_else",
        "permissions::test_a_key_sends_or_asks_and_nothing_else",
    ),
    "A project that was deleted": (
        "deletion::test_nobody_gets_in_at_once_and_the_receipt_says_when_the_events_are_gone",
    ),
    "A member who was removed": ("access::test_a_removed_member_is_out_at_once",),
    "A key that was revoked": (
        "access::test_revoked_or_expired_key_is_refused_at_once",
        "keys::test_revoked_key_is_refused_by_every_server_at_once",
    ),
    "The last owner of a project": (
        "projects::test_the_last_owner_stays",
        "projects::test_of_two_owners_who_leave_at_once_one_stays",
    ),
    # Passwords
    "A password has 12 to 256 characters": (
        "passwords::test_a_password_that_is_too_short_or_too_long_is_refused",
        "passwords::test_a_password_of_four_kilobytes_is_refused_wherever_one_is_typed",
        "passwords::test_a_password_of_the_allowed_length_is_taken_whole",
        "passwords::test_a_password_may_be_typed_on_another_keyboard",
    ),
    "What is kept is an argon2id hash": (
        "user::test_hashes_are_kept_and_passwords_are_not",
        "passwords::test_a_cheap_hash_is_replaced_at_the_next_login",
    ),
    "Few passwords are hashed at once": (
        "passwords::test_passwords_are_hashed_few_at_once_and_the_rest_is_told_to_come_again",
    ),
    "Unknown user and wrong password": (
        "passwords::test_unknown_user_and_wrong_password_are_answered_alike",
        "passwords::test_unknown_user_takes_as_long_as_a_wrong_password",
    ),
    "Who guesses has to wait longer": (
        "passwords::test_who_guesses_has_to_wait_longer_each_time",
        "attempts::test_the_first_failures_cost_no_wait_and_the_next_double_it",
    ),
    "Spellings of an e-mail address": (
        "accounts::test_other_spellings_of_an_address_are_the_same_account",
        "accounts::test_what_is_no_address_is_refused",
    ),
    "Nobody has a password that they didn't choose": (
        "user::test_a_closed_registration_is_usable_from_the_command_line",
        "user::test_what_can_not_be_done_is_said_in_one_line_and_nothing_is_made",
    ),
    "`tidemark user password` sets one": (
        "user::test_a_closed_registration_is_usable_from_the_command_line",
    ),
    # Sessions
    "A login begins a session": (
        "sessions::test_a_login_gives_two_tokens_that_live_as_long_as_the_settings_say",
    ),
    "Both are JWTs": (
        "sessions::test_a_login_gives_two_tokens_that_live_as_long_as_the_settings_say",
        "sessions::test_a_token_of_another_secret_is_refused",
        "tokens::test_a_token_that_is_not_ours_for_this_now_is_refused",
    ),
    "A request's signature is looked at first": (
        "access::test_without_redis_only_keys_are_let_in_and_nonsense_is_still_nonsense",
        "sessions::test_without_postgres_nobody_is_let_in",
    ),
    "Then come its session": (
        "sessions::test_a_session_goes_on_at_every_server_and_ends_at_all",
        "sessions::test_logout_from_everywhere_ends_all",
        "access::test_a_removed_member_is_out_at_once",
    ),
    "A token that is forged": (
        "tokens::test_a_token_that_is_not_ours_for_this_now_is_refused",
        "sessions::test_tokens_do_not_pass_for_one_another",
        "access::test_nobody_is_let_in_without_a_valid_credential",
    ),
    "A refresh token is good for one new pair": (
        "sessions::test_a_refresh_token_is_good_for_one_new_pair",
        "sessions::test_fifty_refreshes_at_once_give_one_pair_and_a_replay_ends_the_session",
    ),
    "Used again later than five seconds": (
        "sessions::test_fifty_refreshes_at_once_give_one_pair_and_a_replay_ends_the_session",
    ),
    "Logging out ends the session at once": (
        "sessions::test_logout_ends_one_session_at_once_and_can_be_repeated",
        "sessions::test_a_session_goes_on_at_every_server_and_ends_at_all",
        "sessions::test_a_padded_spelling_of_a_token_ends_with_its_session",
    ),
    "Logging out from everywhere": (
        "sessions::test_logout_from_everywhere_ends_all",
        "sessions::test_changing_the_password_ends_all_sessions_but_the_one_it_begins",
    ),
    "A user has at most fifty sessions": (
        "sessions::test_a_user_has_so_many_sessions_and_no_more",
        "sessions::test_sessions_are_listed_and_ended_by_their_user_only",
    ),
    "A user who was deleted": ("accounts::test_a_deleted_user_is_out_at_once",),
    # Registration
    "`REGISTRATION` lets everybody in": (
        "accounts::test_registration_takes_an_invitation_or_is_closed",
        "quick_start::test_the_commands_of_the_readme_do_what_it_says",
    ),
    "The very first user": (
        "accounts::test_first_user_owns_the_first_project_and_the_second_none",
    ),
    "An invitation lets one user in": (
        "projects::test_an_invitation_lets_one_in_once",
        "projects::test_two_who_accept_at_once_are_one_let_in",
        "projects::test_a_withdrawn_or_expired_invitation_lets_nobody_in",
    ),
    # Secrets
    "Of keys, invitations and passwords": (
        "access::test_key_itself_is_not_stored",
        "projects::test_the_secret_of_an_invitation_is_not_stored",
        "user::test_hashes_are_kept_and_passwords_are_not",
        "sessions::test_redis_holds_no_token",
    ),
    "Logs and settings show no secret": (
        "logs::test_no_secret_gets_out",
        "edge::test_a_life_with_tidemark_leaves_no_secret_in_the_log",
        "edge::test_a_request_is_a_line_that_says_who_asked_what",
        "edge::test_nothing_of_a_path_that_may_name_people_is_logged",
        "secrets::test_settings_show_no_secret",
    ),
    "A server doesn't start without": (
        "secrets::test_a_missing_short_or_placeholder_secret_is_refused_and_not_shown",
        "secrets::test_local_secret_is_made_once_and_is_its_owner_s_alone",
        "user::test_a_server_does_not_start_with_an_unsafe_setting",
    ),
    "No secret has a default": ("secrets::test_no_secret_has_a_default",),
    "Each secret may lie in a file": ("secrets::test_a_secret_can_lie_in_a_file",),
    "Another `SECRET_KEY`": ("sessions::test_a_token_of_another_secret_is_refused",),
    "The servers of `tidemark up`": (
        "local_servers::test_sockets_lie_in_the_data_directory",
        "local_servers::test_a_deep_home_listens_on_the_loopback_only",
        "local_servers::test_every_way_in_asks_for_a_password",
        "local_servers::test_valkey_refuses_to_talk_without_a_password",
    ),
    "Questions are asked at": (
        "stats::test_questions_are_asked_with_the_reader_s_address_alone",
        "schema::test_reader_may_not",
    ),
    "`BENCHMARK_TOKEN`": (
        "secrets::test_benchmark_token_can_not_be_set_where_servers_are_given",
        "secrets::test_benchmark_token_can_not_be_used_by_an_app_that_others_reach",
        "user::test_a_local_server_that_others_reach_takes_no_benchmark_token",
        "benchmark_token::test_it_is_no_user_and_no_other_token_passes",
    ),
    # At the edge
    "SQL in a parameter": (
        "injection::test_sql_in_a_parameter_is_text",
        "injection::test_sql_in_a_header_is_text",
    ),
    "A body that is too long or too slow": (
        "edge::test_a_body_that_is_too_long_is_refused",
        "edge::test_a_body_that_is_too_slow_is_refused",
        "sockets::test_a_slow_sender_is_cut_off_and_nothing_of_it_is_written",
        "sockets::test_a_huge_claim_is_refused_before_its_body_comes",
    ),
    "A head that is too long": (
        "floods::test_a_flood_of_headers_is_refused",
        "floods::test_a_head_that_trickles_is_cut_off",
        "floods::test_a_peer_that_does_not_read_its_answer_is_hung_up_on",
    ),
    "Every answer has security headers": (
        "edge::test_every_answer_has_an_id_and_security_headers",
        "edge::test_over_https_browsers_are_told_to_stay_there",
    ),
    "Scripts of other websites": (
        "cors::test_a_site_that_is_named_is_let_in_and_no_other",
        "cors::test_with_credentials_any_and_null_are_left_out_with_a_warning",
    ),
    "`X-Forwarded-For` is believed": (
        "proxies::test_nobodys_word_is_taken_by_default",
        "proxies::test_another_proxys_word_is_not_taken",
        "throttle::test_sign_in_is_limited_by_address_whatever_the_request_says_it_is",
    ),
    "Whoever asks too often": (
        "throttle::test_a_key_over_its_limit_is_told_when_to_come_again",
        "throttle::test_sign_in_is_limited_by_address_whatever_the_request_says_it_is",
        "throttle::test_an_account_is_limited_wherever_its_guessers_are",
    ),
    "`GET /metrics` takes": (
        "metrics::test_metrics_are_shown_to_who_has_the_token",
        "metrics::test_without_a_token_metrics_are_shown_with_local_servers_only",
        "metrics::test_nobody_can_make_labels_of_their_own",
    ),
    "The pages that describe the API": (
        "edge::test_documentation_is_shown_with_local_servers_only",
    ),
    # When a part fails
    "Redis away or hanging": (
        "access::test_without_redis_only_keys_are_let_in_and_nonsense_is_still_nonsense",
        "sessions::test_without_redis_tokens_are_refused_and_keys_pass",
        "redis_faults::test_keys_are_answered_while_redis_is_away_and_limited_when_it_is_back",
    ),
    "Redis emptied": (
        "sessions::test_emptied_redis_lets_nobody_in_who_does_not_log_in_again",
        "redis_faults::test_redis_emptied_under_load_costs_nobody_a_request",
    ),
    "Redis put back": (
        "sessions::test_redis_put_back_to_an_earlier_state_revives_no_session_of_an_earlier_generation",
    ),
    "Postgres away": (
        "service::test_not_ready_names_the_part",
        "sessions::test_without_postgres_nobody_is_let_in",
    ),
    "The mirror away": ("mirror::test_without_a_mirror_live_rows_answer",),
    "The mirror's server off": (
        "mirror_erasure::test_a_mirror_that_slept_answers_nothing_by_itself_before_it_is_synced",
        "mirror_erasure::test_a_mirror_that_slept_past_pruning_is_not_believed",
    ),
    "A clock put back": ("throttle::test_a_clock_put_back_keeps_nobody_out",),
    "A request that crashes": (
        "edge::test_a_crash_is_logged_with_its_trace_and_tells_nothing",
        "service::test_crash_answers_as_a_problem_without_its_trace",
    ),
    # What this does not do
    "A single logout is undone": (
        "sessions::test_redis_put_back_revives_a_session_that_ended_alone",
    ),
    "Registering tells": (
        "accounts::test_other_spellings_of_an_address_are_the_same_account",
        "projects::test_a_name_is_taken_once",
        "throttle::test_sign_in_is_limited_by_address_whatever_the_request_says_it_is",
        "throttle::test_other_requests_are_limited_by_user",
    ),
    "Addresses aren't verified": (
        "accounts::test_who_has_registered_and_logged_in_is_known",
        "accounts::test_what_only_looks_like_an_address_is_another_account",
    ),
    "A client that loses the answer": (
        "sessions::test_fifty_refreshes_at_once_give_one_pair_and_a_replay_ends_the_session",
    ),
    "Whoever can write to Postgres": (
        "sessions::test_a_token_of_another_secret_is_refused",
        "access::test_a_removed_member_is_out_at_once",
    ),
    "TLS is the business": (
        "floods::test_what_is_no_http_is_refused",
        "proxies::test_of_a_trusted_proxy_the_last_address_that_is_not_trusted_counts",
    ),
}


def statements(page: str) -> list[str]:
    """Every sentence, and every row of a table but the first, and but those of permissions."""
    found = []
    for block in re.split(r"\n(?:\s*\n|(?=- ))", page):
        text = " ".join(block.removeprefix("- ").split())
        if block.startswith("|"):
            rows = [line.removeprefix("| ") for line in block.splitlines()[2:]]
            found += [row for row in rows if row.partition(" |")[0] not in set(Permission)]
        elif not block.startswith("#"):
            found += re.split(r"(?<=[.!?]) ", text)
    return [each for each in found if each]


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_statement_has_tests_that_exist() -> None:
    found = statements(PAGE)
    for begin, tests in TESTS.items():
        assert len([each for each in found if each.startswith(begin)]) == 1, begin
        assert tests
        for path, _, name in (test.partition("::") for test in tests):
            assert name.startswith("test_")
            assert name in functions(PATHS[path]), f"{PATHS[path]} has no {name}"
    without = [each for each in found if not each.startswith(tuple(TESTS))]
    assert not without, f"no test: {without}"


def test_a_statement_is_a_sentence_or_a_row_wherever_it_stands() -> None:
    text = "# Title\n\nOne is. Two\nare.\n\n- Three. Four (`a.b`).\n  Five\n- Six\n\n"
    table = "| a | b |\n|---|---|\n| x | y |\n"
    found = ["One is.", "Two are.", "Three.", "Four (`a.b`).", "Five", "Six", "x | y |"]
    assert statements(text + table) == found


def test_the_table_says_what_the_code_allows() -> None:
    lines = PAGE.partition("| | ingest key |")[2].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    said = {row[0]: row[1:] for row in rows[: len(Permission)]}
    columns = (Scope.INGEST, Scope.READ, Role.VIEWER, Role.MEMBER, Role.OWNER)
    assert said == {
        permission.value: ["yes" if permission in ALLOWED[column] else "" for column in columns]
        for permission in Permission
    }
