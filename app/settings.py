"""Every setting, read once from the environment by the commands and handed down as values.

The names in the environment are the field names in upper case: DATABASE_URL, API_PREFIX, ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from app.addresses import POSTGRES, REDIS, require_networks, require_scheme
from app.origins import origins_of
from app.secret_files import NoSecret, SecretFiles

Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(origins_of)]
Proxies = Annotated[str, AfterValidator(require_networks)]
Prefix = Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._-]+)*$")]


def _seconds(given: object) -> object:
    """A plain number is one of seconds; Pydantic takes such from JSON only, not from a text."""
    with suppress(ValueError):
        return float(given) if isinstance(given, str) else given
    return given


Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class Registration(StrEnum):
    """Who may make an account over HTTP."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


CONTRADICTION: Final = "contradiction"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What is wrong about settings that are right each by itself, and whose names they are."""

    says: str
    names: tuple[str, ...]

    def as_error(self) -> InitErrorDetails:
        """It as pydantic says what is wrong; the place is its names."""
        said = PydanticCustomError(CONTRADICTION, "{says}", {"says": self.says})
        return InitErrorDetails(type=said, loc=self.names, input=None)


class Settings(BaseSettings):
    """What a Tidemark process is told from outside.

    Frozen: change a copy with `model_copy(update=...)`. A secret may lie in a file instead, named
    by the same name with _FILE.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    tidemark_home: Path = Field(
        default=Path(".tidemark"),
        description="Data directory of the local servers; nothing is written outside it.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Postgres as the writer role: postgresql://user:password@host/database. "
        "Unset: the local Postgres of TIDEMARK_HOME is used.",
    )
    database_owner_url: SecretStr | None = Field(
        default=None,
        description="Postgres as the owner of the schema, for migrations. Default: DATABASE_URL.",
    )
    database_reader_url: SecretStr | None = Field(
        default=None,
        description="Postgres as the read-only role that questions are asked with. "
        "Default: DATABASE_URL.",
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey: redis://host:6379/0. "
        "Unset: the local Valkey of TIDEMARK_HOME.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="What tokens are signed with: at least 32 random bytes. Needed wherever "
        "DATABASE_URL is set; local servers keep one of their own in TIDEMARK_HOME.",
    )
    registration: Registration | None = Field(
        default=None,
        description="Who may register: `open` everybody, `invite` whoever has an invitation, "
        "`closed` nobody. Unset: open with local servers on a "
        "loopback address, else invite.",
    )
    benchmark_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="A bearer token that passes as owner of every project, without a login, while "
        "measuring. Only with local servers, on a loopback address.",
    )
    access_ttl_min: int = Field(
        default=15, ge=1, le=24 * 60, description="How long an access token is valid, in minutes."
    )
    refresh_ttl_days: int = Field(
        default=7, ge=1, le=365, description="How long a session lives without a refresh, in days."
    )
    session_ttl_days: int = Field(
        default=90, ge=1, le=3650, description="How long a session lives at most, in days."
    )
    temp_directory: Path | None = Field(
        default=None,
        description="Existing folder for what a question can't hold in memory. Unset: "
        "TIDEMARK_HOME with local servers, else the system's folder for temporary files.",
    )
    mirror: bool = Field(
        default=True, description="Whether a serving process keeps a columnar mirror of events."
    )
    mirror_directory: Path | None = Field(
        default=None,
        description="Folder for the mirrors of this machine, one below it a process. "
        "Unset: `mirror` in TIDEMARK_HOME.",
    )
    duckdb_threads: int = Field(default=2, ge=1, description="Threads of one DuckDB database.")
    duckdb_memory_mb: int = Field(
        default=512,
        ge=64,
        description="Memory of one DuckDB database, in MiB, before it spills to disk.",
    )
    duckdb_spill_mb: int = Field(
        default=10 * 1024, ge=0, description="What one DuckDB database may spill to disk, in MiB."
    )
    questions_at_once: int = Field(
        default=8, ge=1, description="How many questions are answered at the same time."
    )
    questions_waiting: int = Field(
        default=64, ge=0, description="How many more may wait; past that they are refused with 503."
    )
    api_host: str = Field(default="127.0.0.1", description="Address the server listens on.")
    api_port: int = Field(
        default=8000, ge=0, le=65535, description="Port the server listens on; 0 takes a free one."
    )
    api_prefix: Prefix = Field(
        default="/api", description="Path before every API route; may be empty."
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that serve, each with a mirror and connections of its own.",
    )
    shutdown_notice: Duration = Field(
        default=timedelta(0),
        ge=timedelta(0),
        le=timedelta(minutes=5),
        description="How long a server that is told to stop goes on taking connections while "
        "/readyz says 503, for load balancers to turn away from it; in seconds or as an ISO 8601 "
        "duration.",
    )
    forwarded_allow_ips: Proxies = Field(
        default="",
        description="Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses "
        "and networks with commas between them. Empty: nobody's, and callers are told apart by "
        "their own address.",
    )
    cors_origins: Origins = Field(
        default=(),
        description="Websites whose scripts may call the API: `*`, origins with commas between "
        "them, or a JSON list. Empty: none.",
    )
    cors_credentials: bool = Field(
        default=False,
        description="Whether browsers may send cookies along, for a proxy that asks for them; "
        "CORS_ORIGINS must then name its origins, `*` and `null` are left out.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="What GET /metrics must be asked with, as `Authorization: Bearer TOKEN`. "
        "Unset: nobody gets them, except with local servers on a loopback address.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What a server logs to stderr, and what is graver."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="Form of a server's log; auto: text on a terminal, else JSON."
    )
    access_log: bool = Field(
        default=True, description="Whether a server logs a line for each request."
    )
    max_body_size: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="Largest JSON body of POST /events, in bytes.",
    )
    max_json_events: int = Field(
        default=100_000, ge=1, description="Most events of one JSON request."
    )
    max_bulk_size: int = Field(
        default=8 * 1024**3,
        ge=1024,
        description="Largest body of POST /events in any other format, in bytes as sent.",
    )
    max_content_size: int = Field(
        default=32 * 1024**3,
        ge=1024,
        description="Most that such a body may hold, in bytes, decompressed.",
    )
    max_properties_size: int = Field(
        default=1024**2,
        ge=2,
        le=1024**2,
        description="Longest properties of an event over HTTP, in bytes.",
    )
    max_properties_depth: int = Field(
        default=32,
        ge=1,
        le=32,
        description="Most levels of objects and arrays in the properties of an event over HTTP.",
    )
    body_timeout: Duration = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        description="How long 64 KiB of a body, or its rest, may take to arrive before the sender "
        "is cut off, in seconds or as an ISO 8601 duration.",
    )
    bulk_at_once: int = Field(
        default=8,
        ge=1,
        description="How many bodies that are no JSON are read at once; others wait for their turn "
        "as long as BODY_TIMEOUT.",
    )
    expire_every: Duration = Field(
        default=timedelta(hours=1),
        ge=timedelta(0),
        description="How often a server removes events that are older than their project keeps "
        "them, in seconds or as an ISO 8601 duration. 0: never, and `tidemark expire` does.",
    )
    rate_limit: int = Field(
        default=6_000_000,
        ge=1,
        description="How many events a key may send a minute, and how many at once after a pause. "
        "Needs Redis.",
    )
    stats_rate_limit: int = Field(
        default=6_000,
        ge=1,
        description="How many points of questions a caller may spend a minute: a question costs "
        "one and another for each quarter that it spans, ten times that with `engine` named other "
        "than `mirror`. Needs Redis.",
    )
    request_rate_limit: int = Field(
        default=600,
        ge=1,
        description="How many requests of all other kinds a caller may send a minute. Needs Redis.",
    )
    auth_address_rate_limit: int = Field(
        default=60,
        ge=1,
        description="How many requests to sign in, register or refresh an address may send a "
        "minute.",
    )
    auth_account_rate_limit: int = Field(
        default=20,
        ge=1,
        description="How many attempts to sign in to one account are let through a minute, from "
        "all addresses together.",
    )
    auth_longest_wait: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(0),
        description="Where the waits between failed attempts to sign in stop doubling, in seconds "
        "or as an ISO 8601 duration.",
    )
    max_event_ahead: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(0),
        description="How far from now occurred_at may lie in the future; later events are "
        "rejected. In seconds or as an ISO 8601 duration.",
    )
    query_timeout: Duration = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        description="Time limit of one question, in seconds or as an ISO 8601 duration.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _secret_is_there(cls, given: object) -> object:
        if isinstance(given, NoSecret):
            raise PydanticCustomError("no_secret", "{why}", {"why": given.why})
        return given

    @field_validator("database_url", "database_owner_url", "database_reader_url")
    @classmethod
    def _postgres_is_named(cls, given: SecretStr | None) -> SecretStr | None:
        return given and require_scheme(given, POSTGRES)

    @field_validator("redis_url")
    @classmethod
    def _redis_is_named(cls, given: SecretStr | None) -> SecretStr | None:
        return given and require_scheme(given, REDIS)

    @model_validator(mode="wrap")
    @classmethod
    def _all_that_is_wrong(cls, given: Any, check: ModelWrapValidatorHandler[Self]) -> Self:
        """Names contradictions beside fields that are wrong each by itself."""
        wrong: list[InitErrorDetails] = []
        try:
            settings = check(given)
        except ValidationError as error:
            wrong = [_again(entry) for entry in error.errors()]
            names = {str(entry["loc"][0]) for entry in error.errors() if entry["loc"]}
            settings = check({name: given[name] for name in given if name not in names})
        else:
            names = set()
        # What contradicts something that is wrong may not when that is right.
        found = [each for each in settings.contradictions(names) if not names & set(each.names)]
        wrong += [each.as_error() for each in found]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return settings

    def contradictions(self, unusable: Collection[str]) -> Iterator[Contradiction]:
        """What can't be together; `unusable` settings are given too, each wrong by itself."""
        # With local servers everything else about servers would be passed over without a word.
        if self.database_url is None and "database_url" not in unusable:
            for name in ("database_owner_url", "database_reader_url", "redis_url"):
                if getattr(self, name) is not None:
                    yield Contradiction(
                        f"{name.upper()} is set and DATABASE_URL is not; set both, or neither",
                        (name, "database_url"),
                    )
        if self.refresh_ttl_days > self.session_ttl_days:
            yield Contradiction(
                f"REFRESH_TTL_DAYS={self.refresh_ttl_days} is longer than "
                f"SESSION_TTL_DAYS={self.session_ttl_days}; lower the first, or raise the second",
                ("refresh_ttl_days", "session_ttl_days"),
            )
        if self.temp_directory is not None and not self.temp_directory.is_dir():
            yield Contradiction(
                f"TEMP_DIRECTORY={str(self.temp_directory)!r} is no folder; make it",
                ("temp_directory",),
            )
        if self.benchmark_token is not None and self.database_url is not None:
            yield Contradiction(
                "BENCHMARK_TOKEN passes without a login, so it works with local servers only; "
                "unset it, or DATABASE_URL",
                ("benchmark_token", "database_url"),
            )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's own names
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Values given in the code, then files that the environment names, then itself.

        Files come first to tell when a secret is given both ways.
        """
        return init_settings, SecretFiles(settings_cls), env_settings


def _again(entry: ErrorDetails) -> InitErrorDetails:
    """An error in the words it had, to be raised among others."""
    said = PydanticCustomError("wrong", "{says}", {"says": entry["msg"]})
    return InitErrorDetails(type=said, loc=entry["loc"], input=entry["input"])
