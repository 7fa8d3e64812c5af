"""Where objects are: `s3://KEY:SECRET@host/bucket?region=…`, one variable, read by the settings."""

import re
from importlib.util import find_spec
from urllib.parse import parse_qsl, unquote

from tenancy.exceptions import MissingRequirement

URL = re.compile(
    r"s3://(?P<key>[^\s:/?#@]+):(?P<secret>[^\s:/?#@]+)@(?P<host>[\w.-]+(?::\d+)?)"
    r"/(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/?(?:\?(?P<query>[^#]*))?"
)
RULE = (
    "write it like s3://KEY:SECRET@host/bucket?region=eu-central-1, with other characters than"
    " letters and digits in key and secret encoded, such as %2F."
)
PARAMETERS = {"region", "tls"}


def options(variable: str, url: str) -> dict[str, str]:
    """Return django-storages' options for the URL in the variable.

    `tls=off` is for a server on this machine. Raises MissingRequirement, whose message names the
    variable and never quotes the URL.
    """
    found = URL.fullmatch(url)
    if not found:
        raise MissingRequirement(f"{variable}: {RULE}")
    query = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    if unknown := sorted(query.keys() - PARAMETERS):
        raise MissingRequirement(f"{variable}: unknown parameter {unknown[0]!a}; {RULE}")
    if query.get("tls", "on") not in ("on", "off"):
        raise MissingRequirement(f"{variable}: tls is on or off.")
    if not (find_spec("storages") and find_spec("boto3")):
        raise MissingRequirement(
            f"{variable} needs the package django-storages[s3]: `uv sync --group s3` installs it."
        )
    scheme = "http" if query.get("tls") == "off" else "https"
    return {
        "access_key": unquote(found["key"]),
        "secret_key": unquote(found["secret"]),
        "endpoint_url": f"{scheme}://{found['host']}",
        "bucket_name": found["bucket"],
        "region_name": query.get("region") or "us-east-1",
    }
