"""Commands on another machine, over the system's ssh and as its configuration says."""

import re
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.errors import InputError

_ADDRESS = re.compile(r"ssh://((?:\w[\w.-]*@)?\w[\w.-]*)(?::(\d+))?(/[\w./-]*\w)?/?")
_OPTIONS = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")
_SSH_FAILED = 255  # other statuses are the command's
_BEGIN = b"--- from here on it is the command that writes ---\n"
"""What the other machine writes before a command's output: its shell may greet first."""


class ConnectionLost(InputError):
    """A host does not answer, or no longer."""


@dataclass(frozen=True)
class Host:
    """Another machine.

    Attributes:
        user_host: as ssh takes it.
        port: of its ssh server; None for what ssh is configured to.
        python: the Python to use there.
    """

    user_host: str
    port: int | None
    python: str

    def run(self, command: str, given: bytes = b"", tell: Callable[[str], object] = lambda line: None) -> bytes:
        """Run a command of the other machine's shell and return what it writes to stdout.

        Args:
            command: as one would type it there.
            given: to the command's stdin.
            tell: called with each line that it writes to stderr, as it comes.

        Raises:
            ConnectionLost: the host does not answer, or the connection was cut.
            InputError: the command failed, or something else than a shell was there to run it.
        """
        last: deque[str] = deque([""], maxlen=1)
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout:
            stdin.write(given)
            stdin.seek(0)
            try:
                process = subprocess.Popen(self._ssh(command), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
            except FileNotFoundError:
                raise InputError("there is no ssh here: install OpenSSH's client, or carry a kit by hand") from None
            with process:
                assert process.stderr is not None
                try:
                    for line in process.stderr:
                        last.append(line.decode(errors="replace").strip())
                        tell(last[0])
                except BaseException:  # an interrupt: what runs there ends by itself, and others wait for it
                    process.terminate()
                    raise
            stdout.seek(0)
            written = stdout.read()
        if process.returncode == _SSH_FAILED:
            raise ConnectionLost(
                f"{self.user_host} does not answer over ssh ({last[0]}): log in once by hand to see why"
            )
        if process.returncode:
            raise InputError(f"{self.user_host}: {last[0] or f'{command!r} ends with status {process.returncode}'}")
        _, begun, output = written.partition(_BEGIN)
        if not begun:
            raise InputError(f"{self.user_host} runs no commands over ssh: let it give this user a shell")
        return output

    def _ssh(self, command: str) -> list[str]:
        options = [part for option in _OPTIONS for part in ("-o", option)]
        port = [] if self.port is None else ["-p", str(self.port)]
        return ["ssh", *options, *port, "--", self.user_host, f"echo '{_BEGIN.decode().strip()}'; {command}"]


def parse_address(address: str) -> Host:
    """Return the host that `ssh://user@host[:port][/path/of/python3]` names.

    Raises:
        InputError: the address has another form.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InputError(f"host {address!r}: expected ssh://user@host[:port][/path/of/python3]")
    user_host, port, python = found.groups()
    return Host(user_host, int(port) if port else None, python or "python3")
