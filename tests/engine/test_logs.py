import io
import logging.config
import subprocess
import sys

import pytest
from django.conf import settings


@pytest.fixture
def log():
    """What the project's logging writes, with a stream in place of stderr."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    to_stream = settings.LOGGING["handlers"]["stderr"] | {"stream": stream}
    logging.config.dictConfig(settings.LOGGING | {"handlers": {"stderr": to_stream}})
    yield stream
    root.handlers, root.level = handlers, level


def test_a_line_says_which_tenant_it_is_about(tenant, other_tenant, log):
    logging.getLogger("server.notes").info("one")
    with other_tenant:
        logging.getLogger("django.request").warning("two")

    one, two = log.getvalue().splitlines()
    assert one.endswith(f" INFO {tenant.schema_name} server.notes: one")
    assert two.endswith(f" WARNING {other_tenant.schema_name} django.request: two")


def test_a_line_before_django_is_set_up_is_no_error():
    code = """
import logging
from tenancy.isolation.logs import TenantFilter
record = logging.makeLogRecord({})
assert TenantFilter().filter(record)
print(record.tenant)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (result.stdout, result.stderr) == ("-\n", "")
