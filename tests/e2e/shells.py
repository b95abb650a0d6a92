"""Interactive shells on a terminal, in which the completion of portctl is tried as a person would."""

import os
import pathlib
import pty
import re
import select
import signal
import time

from gateway import BINARIES, Gateway

ALL_MATCHES = "\x1b*"  # Alt-*: puts every completion into the line
BEGIN, END, ENTER = "\x01", "\x05", "\r"

# How each shell is made to do no more than complete.
COMMANDS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
SET_UP = {
    "bash": ["bind 'set enable-bracketed-paste off'", "source <(portctl completion bash)"],
    "zsh": ["unset zle_bracketed_paste; bindkey -e; autoload -Uz compinit && compinit -D -u",
            "zle -C all-matches complete-word _generic; bindkey '\\e*' all-matches",
            "zstyle ':completion:all-matches:*' completer _all_matches _complete",
            "zstyle ':completion:all-matches:*' insert true",
            "source <(portctl completion zsh)"],
}


class Shell:
    def __init__(self, name: str, gateway: Gateway, directory: pathlib.Path) -> None:
        environment = {"PATH": f"{BINARIES}:/usr/bin:/bin", "TERM": "dumb", "PS1": "> ", "HOME": str(directory),
                       "PORTCULLIS_SOCKET": str(gateway.socket), "LC_ALL": "C.UTF-8"}
        self._child, self._terminal = pty.fork()
        if self._child == 0:
            os.chdir(directory)
            os.execvpe(COMMANDS[name][0], COMMANDS[name], environment)
        for line in SET_UP[name]:
            self._run(line)

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *_) -> None:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        os.close(self._terminal)

    def complete(self, line: str) -> list[str]:
        """What may stand in the place of the line's last word, sorted; that word itself if nothing may."""
        said = self._run(f"{line}{ALL_MATCHES}", before="printf '<%s>\\n' ")
        return sorted(re.findall(r"^<(.*)>\r?$", said, re.MULTILINE)[len(line.split(" ")) - 1:])

    def _run(self, keys: str, before: str = "") -> str:
        """What the shell says from here on until the line is done."""
        os.write(self._terminal, f"{keys}{BEGIN}{before}{END}; echo do''ne{ENTER}".encode())
        said = b""
        deadline = time.monotonic() + 10
        while b"\ndone\r" not in said:
            if not select.select([self._terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError(said.decode(errors="replace"))
            said += os.read(self._terminal, 65536)
        return said.decode()
