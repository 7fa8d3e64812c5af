"""Refuses a pooler that hands a server process from one transaction to the next.

Behind PgBouncer in transaction or statement mode, one tenant's query meets the search_path that
another one's has set, notifications get lost, and locks stay behind.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from tenancy.database import citus
from tenancy.exceptions import MixingPooler

MESSAGE = (
    "A pooler gives one connection's queries to several server processes, which mixes the tenants"
    " up. Set PgBouncer's pool_mode = session."
)
PATIENCE = 5  # seconds
PID = "SELECT pg_backend_pid()"
FACTS = f"SELECT pg_backend_pid(), {citus.IS_THERE}"

_accepted = {}  # the servers that this process has asked, and whether they have Citus


def inspect_server(wrapper) -> bool:
    """Raise MixingPooler if one is between the wrapper's new connection and the server.

    Return whether the server has Citus.

    Each process asks a server once: a query, and with a pooler two connections more.
    """
    info = wrapper.connection.info
    server = (info.host, info.port, info.dbname, info.user)
    if server not in _accepted:
        with wrapper.unguarded_cursor() as cursor:
            cursor.execute(FACTS)
            pid, is_citus = cursor.fetchone()
        # A pooler makes up what it tells of the process.
        if pid != info.backend_pid and is_mixing(wrapper):
            raise MixingPooler(MESSAGE)
        _accepted[server] = is_citus
    return _accepted[server]


def is_mixing(wrapper) -> bool:
    """Return whether a transaction of one connection gets the server process of another.

    False if that can't be found out, because no two connections are to be had.
    """
    with ExitStack() as stack:
        try:
            one, other = (
                stack.enter_context(closing(wrapper.Database.connect(**parameters)))
                for parameters in [wrapper.get_connection_params()] * 2
            )
            one.autocommit = other.autocommit = True
            with time_limit(one, other) as expired:
                before = ask(one.cursor)
                ask(other.cursor)
        except wrapper.Database.Error:
            return False
        if expired.is_set():  # the end of one has let the other in
            return False
        other.autocommit = False
        with time_limit(one, other) as expired:
            try:
                ask(other.cursor)  # and stay in the transaction
            except wrapper.Database.Error:
                return not expired.is_set()  # statement mode ends the connection
            try:
                return ask(one.cursor) != before
            except wrapper.Database.Error:
                return expired.is_set()  # it waited for the other's: there is but one


def ask(make_cursor) -> int:
    with make_cursor() as cursor:
        cursor.execute(PID)
        return cursor.fetchone()[0]


@contextmanager
def time_limit(*connections) -> Iterator[threading.Event]:
    """End the connections, and set the event, if the block takes too long."""
    expired = threading.Event()

    def end():
        expired.set()
        for connection in connections:
            # The driver's own `close` would wait for the answer.
            with socket.socket(fileno=os.dup(connection.fileno())) as own:
                own.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(PATIENCE, end)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()
        timer.join()
