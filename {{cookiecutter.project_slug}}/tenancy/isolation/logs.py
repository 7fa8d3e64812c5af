"""Which tenant a line of the log is about."""

import logging

from django.db import connection


class TenantFilter(logging.Filter):
    """Gives each record a `tenant`: the current schema's name, or `-` before Django is set up."""

    def filter(self, record):
        try:
            record.tenant = connection.schema_name
        except Exception:  # a line about a start that fails must not fail itself
            record.tenant = "-"
        return True
