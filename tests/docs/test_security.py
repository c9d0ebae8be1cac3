"""docs/security.md: each statement has its test, and the table is the code's."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from app.accounts.access import ALLOWED, Permission, Role
from app.accounts.keys import Scope

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
# What nobody can test, because it says what is not done.
UNTESTED = "## What this does not do"

ACCESS, AUTH, PROJECTS = (f"tests/api/test_{name}.py" for name in ("access", "auth", "projects"))
SECRETS, USER = "tests/unit/app/test_secrets.py", "tests/cli/test_user.py"
# The first words of each statement, and the tests that fail when it stops being true.
TESTS: dict[str, list[str]] = {
    "Every route has a rule": [f"{ACCESS}::test_every_route_has_a_rule"],
    "Without a valid credential": [
        f"{ACCESS}::test_nobody_is_let_in_without_a_valid_credential",
    ],
    "Another's project is answered 404": [
        f"{ACCESS}::test_another_s_project_is_not_there",
        f"{PROJECTS}::test_a_key_may_name_its_own_project_and_no_other",
    ],
    "A role or scope does what the table says": [
        f"{ACCESS}::test_roles_and_scopes_do_what_they_may_and_nothing_else",
        "tests/unit/app/test_permissions.py::test_a_key_sends_or_asks_and_nothing_else",
    ],
    "A project that was deleted": [
        "tests/api/test_deletion.py"
        "::test_nobody_gets_in_at_once_and_the_receipt_says_when_the_events_are_gone",
    ],
    "A member who was removed": [f"{ACCESS}::test_a_removed_member_is_out_at_once"],
    "A key that was revoked": [f"{ACCESS}::test_revoked_or_expired_key_is_refused_at_once"],
    "The last owner of a project": [
        f"{PROJECTS}::test_the_last_owner_stays",
        f"{PROJECTS}::test_of_two_owners_who_leave_at_once_one_stays",
    ],
    "A password has 12 to 256 characters": [
        f"{AUTH}::test_a_password_that_is_too_short_or_too_long_is_refused",
        f"{AUTH}::test_a_password_of_the_allowed_length_is_taken_whole",
        f"{AUTH}::test_a_password_may_be_typed_on_another_keyboard",
    ],
    "What is kept is an argon2id hash": [
        f"{USER}::test_hashes_are_kept_and_passwords_are_not",
        f"{AUTH}::test_a_cheap_hash_is_replaced_at_the_next_login",
    ],
    "Unknown user and wrong password": [
        f"{AUTH}::test_unknown_user_and_wrong_password_are_answered_alike",
        f"{AUTH}::test_unknown_user_takes_as_long_as_a_wrong_password",
    ],
    "Who guesses has to wait longer": [f"{AUTH}::test_who_guesses_has_to_wait_longer_each_time"],
    "Spellings of an e-mail address": [
        f"{AUTH}::test_other_spellings_of_an_address_are_the_same_account",
    ],
    "Nobody has a password that they didn't choose": [
        f"{USER}::test_a_closed_registration_is_usable_from_the_command_line",
    ],
    "A token that is forged": [
        "tests/unit/app/test_tokens.py::test_a_token_that_is_not_ours_for_this_now_is_refused",
        f"{AUTH}::test_tokens_do_not_pass_for_one_another",
        f"{ACCESS}::test_nobody_is_let_in_without_a_valid_credential",
    ],
    "A refresh token is good for one new pair": [
        f"{AUTH}::test_a_refresh_token_is_good_for_one_new_pair",
        f"{AUTH}::test_fifty_refreshes_at_once_give_one_pair_and_a_replay_ends_the_session",
    ],
    "Used again later than five seconds": [
        f"{AUTH}::test_fifty_refreshes_at_once_give_one_pair_and_a_replay_ends_the_session",
    ],
    "Logging out ends the session at once": [
        f"{AUTH}::test_logout_ends_one_session_at_once_and_can_be_repeated",
        f"{AUTH}::test_a_padded_spelling_of_a_token_ends_with_its_session",
    ],
    "Logging out from everywhere": [
        f"{AUTH}::test_logout_from_everywhere_ends_all",
        f"{AUTH}::test_changing_the_password_ends_all_sessions_but_the_one_it_begins",
    ],
    "A user has at most fifty sessions": [
        f"{AUTH}::test_a_user_has_so_many_sessions_and_no_more",
        f"{AUTH}::test_sessions_are_listed_and_ended_by_their_user_only",
    ],
    "A user who was deleted": [f"{AUTH}::test_a_deleted_user_is_out_at_once"],
    "`REGISTRATION` lets everybody in": [
        f"{AUTH}::test_registration_takes_an_invitation_or_is_closed",
        "tests/docs/test_quick_start.py::test_the_commands_of_the_readme_do_what_it_says",
    ],
    "The very first user": [
        f"{AUTH}::test_first_user_owns_the_first_project_and_the_second_none",
    ],
    "An invitation lets one user in": [
        f"{PROJECTS}::test_an_invitation_lets_one_in_once",
        f"{PROJECTS}::test_two_who_accept_at_once_are_one_let_in",
        f"{PROJECTS}::test_a_withdrawn_or_expired_invitation_lets_nobody_in",
    ],
    "Of keys, invitations and passwords": [
        f"{ACCESS}::test_key_itself_is_not_stored",
        f"{PROJECTS}::test_the_secret_of_an_invitation_is_not_stored",
        f"{USER}::test_hashes_are_kept_and_passwords_are_not",
        f"{AUTH}::test_redis_holds_no_token",
    ],
    "Logs and settings show no secret": [
        "tests/unit/app/test_logs.py::test_no_secret_gets_out",
        f"{SECRETS}::test_settings_show_no_secret",
    ],
    "A server doesn't start without": [
        f"{SECRETS}::test_a_missing_short_or_placeholder_secret_is_refused_and_not_shown",
        f"{SECRETS}::test_local_secret_is_made_once_and_is_its_owner_s_alone",
        f"{USER}::test_a_server_does_not_start_with_an_unsafe_setting",
    ],
    "Each secret may lie in a file": [f"{SECRETS}::test_a_secret_can_lie_in_a_file"],
    "Another `SECRET_KEY`": [f"{AUTH}::test_a_token_of_another_secret_is_refused"],
    "`BENCHMARK_TOKEN`": [
        f"{SECRETS}::test_benchmark_token_can_not_be_set_where_servers_are_given",
        f"{SECRETS}::test_benchmark_token_can_not_be_used_by_an_app_that_others_reach",
        f"{USER}::test_a_local_server_that_others_reach_takes_no_benchmark_token",
        "tests/api/test_benchmark_token.py::test_it_is_no_user_and_no_other_token_passes",
    ],
    "Redis away": [f"{AUTH}::test_without_redis_tokens_are_refused_and_keys_pass"],
    "Redis emptied": [
        f"{AUTH}::test_emptied_redis_lets_nobody_in_who_does_not_log_in_again",
    ],
    "Redis put back": [
        f"{AUTH}::test_redis_put_back_to_an_earlier_state_revives_no_session_of_an_earlier_generation",
    ],
    "Postgres away": [
        "tests/api/test_service.py::test_not_ready_names_the_part",
        f"{AUTH}::test_without_postgres_nobody_is_let_in",
    ],
}


def statements() -> list[str]:
    tested, untested, _ = PAGE.partition(UNTESTED)
    assert untested
    found = re.findall(r"^- ((?:.+\n)(?:  .+\n)*)", tested, re.MULTILINE)
    return [" ".join(each.split()) for each in found]


@cache
def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_each_statement_has_tests_that_exist() -> None:
    found = statements()
    for begin, tests in TESTS.items():
        assert len([each for each in found if each.startswith(begin)]) == 1, begin
        for path, _, name in (test.partition("::") for test in tests):
            assert name in functions(path), f"{path} has no {name}"
    without = [each for each in found if not each.startswith(tuple(TESTS))]
    assert not without, f"no test: {without}"


def test_the_table_says_what_the_code_allows() -> None:
    lines = PAGE.partition("| | ingest key |")[2].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    said = {row[0]: row[1:] for row in rows[: len(Permission)]}
    columns = (Scope.INGEST, Scope.READ, Role.VIEWER, Role.MEMBER, Role.OWNER)
    assert said == {
        permission.value: ["yes" if permission in ALLOWED[column] else "" for column in columns]
        for permission in Permission
    }
