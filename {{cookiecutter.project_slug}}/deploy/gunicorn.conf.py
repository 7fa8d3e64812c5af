"""gunicorn's settings: `gunicorn --config deploy/gunicorn.conf.py server.wsgi`.

The main process imports nothing of the project, so that a reload (HUP) takes over all new code.
"""

import json
import logging
import os
import tempfile

from gunicorn import glogging

host = os.environ.get("BIND", "127.0.0.1")
port = os.environ.get("PORT", "8000")
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", cores))
threads = int(os.environ.get("WEB_THREADS", "4"))  # each has a connection to the database

# With WEB_AFFINITY=on each process has a port of its own, the first one PORT, so that the proxy can
# send a host to the same process each time.
ports = [int(port) + n for n in range(workers if os.environ.get("WEB_AFFINITY") == "on" else 1)]
bind = [f"{host}:{each}" for each in ports]
if internal_port := os.environ.get("INTERNAL_PORT"):  # health and metrics; no proxy leads here
    bind.append(f"{host}:{internal_port}")

timeout = 60  # seconds without a sign of life, after which a worker is killed
graceful_timeout = 30  # seconds that requests have to end, when the worker should
keepalive = 0  # the proxy could use a connection in the moment in which a reload closes it

worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108
control_socket = os.path.join(tempfile.gettempdir(), f"gunicorn-{port}.ctl")  # noqa: PTH118


def pre_fork(server, worker):
    """Choose the port of the new process. The main process listens at all of them, so that a
    request waits for the next process when one ends, or is replaced in a reload."""
    # Of more processes than these the oldest are ending, as in a reload.
    youngest = sorted(server.WORKERS.values(), key=lambda each: each.age)[1 - workers :]
    taken = [each.port for each in youngest]
    worker.port = min(ports, key=taken.count)


def post_fork(server, worker):
    """Let the process accept at its own port alone, and at INTERNAL_PORT, where each answers."""
    others = {*ports} - {worker.port}
    worker.sockets = [each for each in worker.sockets if each.getsockname()[1] not in others]


class JsonFormatter(logging.Formatter):
    def format(self, record):
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Logger(glogging.Logger):
    """Writes the access log to the project's log, with tenant and request id, and no queries."""

    def setup(self, cfg):
        super().setup(cfg)
        if os.environ.get("LOG_FORMAT", "json") == "json":
            for handler in self.error_log.handlers:
                handler.setFormatter(JsonFormatter())

    def access(self, resp, req, environ, request_time):
        path = environ["RAW_URI"].partition("?")[0]
        if not path.startswith("/_"):  # machines ask all the time
            extra = {"duration": round(request_time.total_seconds(), 4), "bytes": resp.sent}
            message = "%s %s %s"
            values = environ["REQUEST_METHOD"], path, resp.status_code
            logging.getLogger("access").info(message, *values, extra=extra)


logger_class = Logger
