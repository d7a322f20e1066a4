"""The `openstack` client itself, in this process."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any
from urllib.parse import urlsplit

from openstack_batch.limits import scaled

RESTART_S = 30
"""that a service may take until it listens again, on a KVM host"""
ANSWER_S = 15
"""that a service may take to answer who only asks, on a KVM host"""
TRY_AGAIN_S = 2
"""between two tries to connect"""
Result = tuple[int, str, str]
"""of a command: its exit code, its output, what it said about a failure"""


class Said(logging.Handler):
    """Keeps what the client logged as an error: its only account of why a command failed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.messages.append(record.getMessage())


def _wait_for_connections() -> None:
    """Let all sessions try again if no connection is made, or if one is lost while a question waits for its answer.

    A request that may have changed something is never sent twice.
    """
    from keystoneauth1 import session
    from urllib3.util import Retry

    class Steady(Retry):
        def get_backoff_time(self) -> float:
            return TRY_AGAIN_S

    def make(adapter: Any) -> None:
        tries = int(scaled(RESTART_S) / TRY_AGAIN_S)
        retries = Steady(total=None, connect=tries, read=tries, allowed_methods={"GET", "HEAD"})
        super(session.TCPKeepAliveAdapter, adapter).__init__(max_retries=retries)

    session.TCPKeepAliveAdapter.__init__ = make


def give_up_silent(http: Any, limit_s: float, timeout: type[Exception]) -> None:
    """Let the requests of a session fail after this time without an answer; further ones to that service fail at once.

    `timeout` is what the session raises then. A connection that is lost or refused is no silence.

    Without it, each of them waits without an end: a server that starts again and again accepts the connection.
    """
    if hasattr(http, "silent"):
        return
    real, http.silent = http.request, {}

    def request(method: str, url: str, **how: Any) -> Any:
        service = urlsplit(url).netloc
        if service in http.silent:
            raise http.silent[service]
        try:
            return real(method, url, **{"timeout": limit_s, **how})
        except timeout as error:
            http.silent[service] = error
            raise

    http.request = request


class Client:
    """`openstack`, loaded and logged in once, at the first command that needs it.

    A `patient` one waits while a service refuses connections: another step may restart it just now.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient
        self._loaded: Any = None
        self._logged_in = False
        self._said = Said()

    @property
    def _shell(self) -> Any:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> Any:
        from openstackclient.shell import OpenStackShell  # seconds on a slow machine: only when there is work

        if self._patient:
            _wait_for_connections()

        patient = self._patient

        class Shell(OpenStackShell):
            def prepare_to_run_command(self, cmd: Any) -> None:
                """One that only asks does not wait long for a service that is silent."""
                super().prepare_to_run_command(cmd)
                session = getattr(self.client_manager, "session", None)
                if session is not None and not patient:
                    from requests.exceptions import Timeout

                    give_up_silent(session.session, scaled(ANSWER_S), Timeout)

            def clean_up(self, cmd: Any, result: Any, err: Any) -> None:
                """Between two commands nothing is closed: the next one uses the same session."""

        shell = Shell()
        shell.command_options = []
        shell.options, _ = shell.parser.parse_known_args([])
        shell.configure_logging()
        shell.interactive_mode = False
        shell.initialize_app([])
        root = logging.getLogger()
        for handler in root.handlers:
            handler.setLevel(logging.CRITICAL)
        root.addHandler(self._said)
        return shell

    def run(self, words: list[str]) -> Result:
        """Run one command."""
        shell, output, errors = self._shell, io.StringIO(), io.StringIO()
        real = sys.stdout, sys.stderr, shell.stdout, shell.stderr
        self._said.messages.clear()
        sys.stdout, sys.stderr, shell.stdout, shell.stderr = output, errors, output, errors
        try:
            code = shell.run_subcommand(words)
        except SystemExit as error:  # argparse, for an option it does not know
            code = error.code if isinstance(error.code, int) else 1
        finally:
            sys.stdout, sys.stderr, shell.stdout, shell.stderr = real
        said = "\n".join([*self._said.messages, errors.getvalue().strip()]).strip()
        return int(code or 0), output.getvalue(), said

    def parse(self, words: list[str]) -> Any:
        """Return a command's arguments as its own parser understands them, and log in for it."""
        factory, name, rest = self._shell.command_manager.find_command(words)
        command = factory(self._shell, self._shell.options, cmd_name=name)
        self._shell.prepare_to_run_command(command)
        self._logged_in = True
        try:
            return command.get_parser(name).parse_args(rest)
        except SystemExit as error:  # argparse has said why
            raise LookupError(f"not the arguments of `openstack {name}`") from error

    @property
    def refusals(self) -> tuple[type[Exception], ...]:
        """What is raised when a service refuses a request, or does not answer."""
        from keystoneauth1 import exceptions
        from openstack import exceptions as sdk_exceptions

        return exceptions.ClientException, sdk_exceptions.SDKException

    @property
    def sdk(self) -> Any:
        """openstacksdk's connection."""
        self._log_in()
        return self._shell.client_manager.sdk_connection

    @property
    def project_id(self) -> str:
        """The project of the login."""
        self._log_in()
        return str(self._shell.client_manager.auth_ref.project_id)

    def _log_in(self) -> None:
        """Log in as for a command: the shell takes the login from the options only when it prepares for one."""
        if not self._logged_in:
            self.parse(["server", "list"])
