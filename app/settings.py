"""Every setting, read once from the environment by the commands and handed down as values.

The names in the environment are the field names in upper case: DATABASE_URL, API_PREFIX, ...
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

Prefix = Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._-]+)*$")]


class Settings(BaseSettings):
    """What a Tidemark process is told from outside.

    Frozen: change a copy with `model_copy(update=...)`.
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
        default=1024,
        ge=64,
        description="Memory of one DuckDB database, in MiB, before it spills to disk.",
    )
    duckdb_spill_mb: int = Field(
        default=10 * 1024, ge=0, description="What one DuckDB database may spill to disk, in MiB."
    )
    questions_at_once: int = Field(
        default=4, ge=1, description="How many questions are answered at the same time."
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
    max_body_size: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="Largest JSON body of POST /events, in bytes.",
    )
    max_event_ahead: timedelta = Field(
        default=timedelta(hours=24),
        ge=timedelta(0),
        description="How far from now occurred_at may lie in the future; later events are "
        "rejected. In seconds or as an ISO 8601 duration.",
    )
    query_timeout: timedelta = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        description="Time limit of one question, in seconds or as an ISO 8601 duration.",
    )
