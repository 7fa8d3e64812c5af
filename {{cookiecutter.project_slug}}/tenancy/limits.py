"""Limits on how often something is done, for all processes together.

The counts are in Redis if it is the default cache (CACHE_URL), otherwise in a table of the public
schema. They are kept under a digest of the key, so that neither has names or addresses.
"""

import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.cache.backends.redis import RedisCache
from django.db import connection
from django.utils.crypto import salted_hmac
from django_tenants.utils import get_public_schema_name, quote_schema_name

from tenancy.exceptions import RateLimited
from tenancy.models import Limit

RATE = re.compile(r"([0-9]+)/([0-9]+)([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}

logger = logging.getLogger(__name__)


def limit(name: str, key: str, rate: str) -> None:
    """Count one more use of `name` by `key`. Raises RateLimited, with the seconds to wait.

    `rate` is how many uses are allowed in which time, such as "10/15m" (s, m, h or d). The time
    begins with the first use. TENANCY_RATES may have another rate for the name, or None for no
    limit. A rollback of the caller's transaction doesn't undo the count.
    """
    rate = getattr(settings, "TENANCY_RATES", {}).get(name, rate)
    if rate is None:
        return
    most, seconds = parse(rate)
    digest = digest_of(name, key)
    count, wait = store().add(digest, seconds)
    if count > most:
        wait = max(1, math.ceil(wait))
        logger.warning(
            "Limit “%s” reached by key %s: more than %s. Wait %d s.", name, digest[:8], rate, wait
        )
        raise RateLimited(name, wait)


def give_back(*uses: tuple[str, str]) -> None:
    """Uncount one use of each (name, key), such as an attempt that turned out to be right."""
    store().subtract([digest_of(*use) for use in uses])


def remember(name: str, key: str, seconds: int) -> bool:
    """Let `remembers(name, key)` return True for so long. Return True for one caller of many."""
    count, _ = store().add(digest_of(name, key), seconds)
    return count == 1


def remembers(name: str, key: str) -> bool:
    return store().has(digest_of(name, key))


def parse(rate: str) -> tuple[int, int]:
    """Return the number of uses and the seconds. Raises ValueError."""
    found = RATE.fullmatch(rate)
    if not found:
        raise ValueError(f"“{rate}” is not a rate like “10/15m”.")
    most, number, unit = found.groups()
    return int(most), int(number) * SECONDS[unit]


def digest_of(name: str, key: str) -> str:
    """Return a key that gives nothing away, and differs between projects on one Redis."""
    return salted_hmac("tenancy.limits", f"{name}:{key}", algorithm="sha256").hexdigest()


def store() -> "Table | Redis":
    cache = caches[DEFAULT_CACHE_ALIAS]
    return Redis(cache) if isinstance(cache, RedisCache) else Table()


class Table:
    """Counts in PostgreSQL. One statement counts and decides, so processes never disagree."""

    ADD = """
        INSERT INTO {table} AS known (key, count, expires)
        VALUES (%s, 1, statement_timestamp() + make_interval(secs => %s))
        ON CONFLICT (key) DO UPDATE SET (count, expires) = (
            SELECT CASE WHEN is_over THEN 1 ELSE known.count + 1 END,
                CASE WHEN is_over THEN excluded.expires ELSE known.expires END
            FROM (SELECT known.expires <= statement_timestamp()) AS time (is_over)
        )
        RETURNING count, extract(epoch FROM expires - statement_timestamp())::float
    """
    # Each new row takes away two old ones, so the table has about as many as are in use.
    CLEAN = """
        DELETE FROM {table} WHERE key IN (
            SELECT key FROM {table} WHERE expires <= statement_timestamp()
            LIMIT 2 FOR UPDATE SKIP LOCKED
        )
    """
    # In one order, or two processes would wait for each other.
    SUBTRACT = """
        UPDATE {table} AS known SET count = count - 1 FROM (
            SELECT key FROM {table} WHERE key = ANY(%s) AND count > 0 ORDER BY key FOR UPDATE
        ) AS used WHERE known.key = used.key
    """
    HAS = "SELECT EXISTS (SELECT FROM {table} WHERE key = %s AND expires > statement_timestamp())"

    def add(self, key: str, seconds: int) -> tuple[int, float]:
        """Return the count of this time, and how many seconds of it are left."""
        with autonomous_cursor() as cursor:
            cursor.execute(self.sql(self.ADD), [key, seconds])
            count, left = cursor.fetchone()
            if count == 1:
                cursor.execute(self.sql(self.CLEAN))
        return count, left

    def subtract(self, keys: list[str]) -> None:
        with autonomous_cursor() as cursor:
            cursor.execute(self.sql(self.SUBTRACT), [keys])

    def has(self, key: str) -> bool:
        with autonomous_cursor() as cursor:
            cursor.execute(self.sql(self.HAS), [key])
            return cursor.fetchone()[0]

    def sql(self, statement: str) -> str:
        public = quote_schema_name(get_public_schema_name())
        return statement.format(table=f"{public}.{Limit._meta.db_table}")


@contextmanager
def autonomous_cursor() -> Iterator:
    """Yield a cursor whose statements the caller's transaction can't roll back.

    Inside a transaction it has a connection of its own. The transaction of a TestCase doesn't
    count: what a test writes should be rolled back.
    """
    blocks = connection.atomic_blocks
    if not blocks or blocks[0]._from_testcase:
        with connection.cursor() as cursor:
            yield cursor
        return
    own = connection.copy()
    try:
        with own.cursor() as cursor:
            yield cursor
    finally:
        own.close()


class Redis:
    """Counts in the Redis of a cache. It runs one script at a time."""

    ADD = """
        local count = redis.call('INCR', KEYS[1])
        if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
        return {count, redis.call('PTTL', KEYS[1])}
    """
    SUBTRACT = """
        for _, key in ipairs(KEYS) do
            if tonumber(redis.call('GET', key) or 0) > 0 then redis.call('DECR', key) end
        end
    """

    def __init__(self, cache: RedisCache):
        self.client = cache._cache.get_client(write=True)

    def add(self, key: str, seconds: int) -> tuple[int, float]:
        count, milliseconds = self.client.eval(self.ADD, 1, f"limit:{key}", seconds * 1000)
        return count, milliseconds / 1000

    def subtract(self, keys: list[str]) -> None:
        self.client.eval(self.SUBTRACT, len(keys), *(f"limit:{key}" for key in keys))

    def has(self, key: str) -> bool:
        return bool(self.client.exists(f"limit:{key}"))
