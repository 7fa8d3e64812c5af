"""An authenticator app (RFC 6238)."""

import base64
import hmac
import time


def code_of(secret: str, steps: int = 0) -> str:
    """Return what the app shows now, or will show some half minutes later."""
    counter = int(time.time()) // 30 + steps
    digest = hmac.digest(base64.b32decode(secret), counter.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06}"
