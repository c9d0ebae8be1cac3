"""What is logged, where to, and what never is.

Code logs through the standard library, a dotted event and fields: `log.info("redis.away",
extra={"error": name})`. Libraries may write `mirror.built rows=3 seconds=0.1`, which any handler
shows; here that becomes fields too. A line goes to stderr, as JSON from a server without a
terminal, else readable. What belongs to a request carries its id and caller, bound by
`request_log`.

No secret gets out, whoever logs it: see REDACTED and SECRET_FIELDS.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict

HIDDEN: Final = "[hidden]"
_ASSIGNED: Final = (
    r"((?:password|passwd|secret|token|authorization|cookie)\\*[\"']?\s*[=:]\s*\\*[\"']?)"
    r"(?!bearer|basic|\[)[^\s\"',;&)}\\]+"
)
REDACTED: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"\b(tmk_[a-z]+|tmi)_[\w-]{8,}", rf"\1_{HIDDEN}"),
        (r"\beyJ[\w-]+\.[\w-]+\.[\w-]*", HIDDEN),
        (r"\$argon2[^\s\"']+", HIDDEN),
        (r"\b(bearer|basic)\s+(?!\[)[^\s\"',\\]+", rf"\1 {HIDDEN}"),
        (r"(://[^\s:/@\"]*:)[^\s@\"]+@", rf"\1{HIDDEN}@"),
        (_ASSIGNED, rf"\1{HIDDEN}"),
    )
)
"""Applied to the finished line, so also to what stands in a message or a trace."""
_SUSPECT: Final = (
    "tmk_", "tmi_", "eyj", "$argon2", "bearer", "basic", "://",
    "password", "passwd", "secret", "token", "authorization", "cookie",
)  # fmt: skip
"""Each pattern of REDACTED needs one of these. Most lines have none, and patterns take long."""
SECRET_FIELDS: Final = re.compile(r"password|passwd|secret|token|authorization|cookie|api_?key")
_FIELD: Final = re.compile(r" (\w+)=(\S+?)(?=:? |:?$)")
_OF_EVERY_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "taskName",
}  # fmt: skip


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, among those that others have put beside it."""


class _Formatter(logging.Formatter):
    """A record as its event: its message, its fields, and those that are bound to its request.

    structlog's own formatter passes it from one processor to the next, which took a request's line
    four times as long.
    """

    def __init__(self, render: Callable[[EventDict], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        event: EventDict = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat()[:-6] + "Z",
            **structlog.contextvars.get_contextvars(),
        }
        for name, value in record.__dict__.items():
            if name not in _OF_EVERY_RECORD:
                event[name] = value
        _find_fields(event)
        _hide(event)
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            event["stack"] = self.formatStack(record.stack_info)
        return redacted(self._render(event))


def configure(level: str, *, as_json: bool) -> None:
    """Has everything of `level` and above written to stderr. May be called again."""
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(handler)
    handler = _Handler(sys.stderr)
    handler.setFormatter(formatter(as_json=as_json, colors=sys.stderr.isatty()))
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Its warnings are one for every malformed request, which anybody can send.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)


def formatter(*, as_json: bool, colors: bool = False) -> logging.Formatter:
    """Lines of JSON, or for people."""
    if as_json:
        return _Formatter(_json)
    console = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)
    return _Formatter(lambda event: str(console(None, "", event)))


def redacted(line: str) -> str:
    """The line without what looks like a secret."""
    lowered = line.lower()
    if any(word in lowered for word in _SUSPECT):
        for pattern, replacement in REDACTED:
            line = pattern.sub(replacement, line)
    return line


def _find_fields(event: EventDict) -> None:
    """`mirror.failed cause=x: why` as the event, its fields, and the sentence."""
    message = event["event"]
    if "=" not in message:
        return
    name, space, rest = message.partition(" ")
    fields = dict(_FIELD.findall(f" {rest}"))
    if not space or not fields or "." not in name:
        return
    sentence = _FIELD.sub("", f" {rest}").strip(": ")
    event.update(fields, event=name)
    if sentence:
        event["message"] = sentence


def _hide(fields: MutableMapping[str, Any]) -> None:
    for name, value in fields.items():
        if _is_secret(str(name)):
            fields[name] = HIDDEN
        elif isinstance(value, dict):
            fields[name] = dict(value)
            _hide(fields[name])


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return SECRET_FIELDS.search(name.lower()) is not None


def _json(event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
