"""How much of a request is read."""

from __future__ import annotations

from fastapi import Request

from app.problems import TooLarge, UnsupportedType

JSON = "application/json"


async def json_body(request: Request, max_bytes: int) -> bytes:
    """The whole body of a JSON request.

    Raises:
        UnsupportedType: The body is announced as something else.
        TooLarge: It is longer than `max_bytes`, whatever its Content-Length says.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON:
        raise UnsupportedType(
            f"The body is {media_type or 'of no stated type'}; events are taken as {JSON}."
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(
                f"The body is longer than MAX_BODY_SIZE, {max_bytes} bytes; send fewer events."
            )
    return bytes(body)
