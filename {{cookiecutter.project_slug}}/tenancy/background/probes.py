"""Whether tasks can be sent, for `/_health/ready`."""

from celery import current_app

from tenancy.health.probes import readiness


@readiness("broker")
def broker() -> None:
    with current_app.connection_for_write() as connection:
        connection.connect()
