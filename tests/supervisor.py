"""Runs processes and starts them again by the restart rules of compose, as Docker does."""

import os
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from projects import wait_for

RESTARTS = {"no": False, "always": True, "unless-stopped": True}


@dataclass
class Service:
    command: list
    restart: str
    env: dict
    cwd: Path
    log: Path
    starts: int = 0
    process: subprocess.Popen | None = None

    def start(self):
        self.starts += 1
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [str(part) for part in self.command],
                cwd=self.cwd,
                env={name: str(value) for name, value in self.env.items()},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # it and its children end together, like a container's
            )


@dataclass
class Supervisor:
    services: dict[str, Service] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def start(self, name, service):
        service.start()
        self.services[name] = service

    def watch(self):
        while not self.done.wait(0.1):  # Docker's first delay
            for service in [*self.services.values()]:
                if service.process.poll() is not None and RESTARTS[service.restart]:
                    service.start()

    def kill(self, name):
        """Kill -9 a container's processes, and wait until they were started again."""
        service = self.services[name]
        starts = service.starts
        os.killpg(service.process.pid, signal.SIGKILL)
        wait_for(lambda: service.starts > starts)

    def __exit__(self, *error):
        self.done.set()
        self.thread.join()
        for service in reversed([*self.services.values()]):
            service.process.terminate()
        for service in self.services.values():
            try:
                service.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(service.process.pid, signal.SIGKILL)
