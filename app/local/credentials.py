"""The passwords of the local servers: made once, kept in the secrets file."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, fields

from app.local.errors import UnusableDirectory
from app.local.home import Home, write_private

_PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """One password for each Postgres role and one for Valkey, all of URL-safe characters."""

    admin: str
    owner: str
    writer: str
    reader: str
    valkey: str

    @classmethod
    def load(cls, home: Home) -> Credentials:
        """Read the secrets file, making it first for a data directory that holds no database yet.

        Raises:
            UnusableDirectory: The file is damaged, or missing while there is a database that needs
                it.
        """
        if not home.secrets.exists():
            if (home.postgres / "data").exists():
                message = (
                    f"{home.secrets} is missing, and the database in {home.postgres} opens only"
                    " with the passwords in it; put the file back, or point TIDEMARK_HOME at a"
                    " new directory"
                )
                raise UnusableDirectory(message)
            made = cls(*(secrets.token_urlsafe(_PASSWORD_BYTES) for _ in fields(cls)))
            write_private(home.secrets, json.dumps(asdict(made), indent=2) + "\n")
            return made
        try:
            return cls(**json.loads(home.secrets.read_text()))
        except (ValueError, TypeError) as error:
            message = f"{home.secrets} can't be read ({error}); put the file back as it was"
            raise UnusableDirectory(message) from error
