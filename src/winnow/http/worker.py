"""One HTTP worker: serves a listening socket that the supervisor opened. `python -m winnow.http.worker FD FACTORY`."""

import importlib
import socket
import sys

import uvicorn

from winnow.core.settings import Settings
from winnow.http.process import follow_parent, log_to_stderr, project_folder


def main(descriptor: str, factory: str) -> None:
    """Serves until SIGTERM: then no new connection is taken, requests in flight finish, and what waits is written."""
    log_to_stderr("worker")
    follow_parent()
    settings = Settings.load(project_folder() / "winnow.toml")
    place, _, name = factory.partition(":")
    config = uvicorn.Config(
        getattr(importlib.import_module(place), name),
        factory=True,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=int(settings.server.shutdown_s),
        backlog=2048,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main(*sys.argv[1:])
