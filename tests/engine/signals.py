"""django-tenants' signals, and who hears them for a while."""

from contextlib import contextmanager

from django_tenants.signals import (
    post_schema_sync,
    schema_migrate_message,
    schema_migrated,
    schema_needs_to_be_sync,
)

# In the order in which they come when a tenant does.
SIGNALS = {
    "schema_needs_to_be_sync": schema_needs_to_be_sync,
    "schema_migrate_message": schema_migrate_message,
    "schema_migrated": schema_migrated,
    "post_schema_sync": post_schema_sync,
}


@contextmanager
def connected(receiver, *signals):
    for signal in signals:
        signal.connect(receiver)
    try:
        yield
    finally:
        for signal in signals:
            signal.disconnect(receiver)


@contextmanager
def heard():
    """The names of the signals that are sent in the block."""
    names, sent = {signal: name for name, signal in SIGNALS.items()}, []

    def listen(signal, **kwargs):
        sent.append(names[signal])

    with connected(listen, *SIGNALS.values()):
        yield sent
