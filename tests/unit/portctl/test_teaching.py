"""What portctl teaches: its help, its manual page, its completion and its docs page name every command, and the
examples are right. A new command needs an example (in its help), and a place in docs/portctl.md; the rest comes by itself."""

import functools
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARIES = pathlib.Path(os.environ.get("PORTCULLIS_BIN", ROOT / "build" / "bin"))
PORTCTL = BINARIES / "portctl"


def portctl(*words: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([PORTCTL, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                          env=os.environ | {"PORTCULLIS_SOCKET": "/nonexistent/api.sock"}, **options)


@functools.cache
def help_of(path: str) -> tuple[str, str]:
    """The parser's own part, and what follows it."""
    done = portctl(*path.split(), "--help")
    assert done.returncode == 0, done.stderr
    usage, _, footer = done.stdout.partition("\n\n\n")
    return usage, footer


def commands(path: str = "") -> list[str]:
    """Every command below, "vm create", from the help of the parser."""
    usage, _ = help_of(path)
    if "SUBCOMMAND" not in usage:
        return [path]
    blocks = [block for block in usage.split("\n\n") if not block.startswith(("Options:", "Positionals:"))][1:]
    names = [match[1] for block in blocks for match in re.finditer(r"^  (\S+)", block, re.MULTILINE)]
    assert names, usage
    return [command for name in names for command in commands(f"{path} {name}".strip())]


def options(path: str) -> set[str]:
    usage, _ = help_of(path)
    return set(re.findall(r"^ +(?:-\w,)?(--[\w-]+)", usage, re.MULTILINE)) - {"--help"}


def arguments(path: str) -> list[str]:
    usage, _ = help_of(path)
    return re.findall(r"([A-Z]+)(?:\.\.\.)?", usage.split("Usage: ")[1].split("\n")[0].partition("[OPTIONS]")[2])


def examples(path: str) -> list[str]:
    _, footer = help_of(path)
    lines = footer.partition("Example")[2].split("\n")[1:]
    return [re.split(r"\s{3,}", line.strip())[0] for line in lines if line.startswith("  ") and "portctl" in line]


COMMANDS = commands()


def test_commands_are_found():
    assert {"vm create", "permit set", "show drops", "watch", "request-eip"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    assert examples(command), f"portctl {command} --help has no example: src/portctl/help.cc is a place for one"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_examples_are_no_wrong_usage(command, tmp_path):
    """Run in a shell, with a portctl that keeps what it says, against no gateway."""
    said = tmp_path / "said"
    wrapper = tmp_path / "portctl"
    wrapper.write_text(f'#!/bin/sh\nexec {PORTCTL} "$@" 2>>{said}\n')
    wrapper.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PORTCULLIS_SOCKET": str(tmp_path / "none")}
    for example in examples(command):
        if "NOUN" in example:
            continue
        said.write_text("")
        subprocess.run(["bash", "-c", example], cwd=tmp_path, env=environment, capture_output=True, check=False,
                       stdin=subprocess.DEVNULL, timeout=30)
        assert "--help shows" not in said.read_text() and "^" not in said.read_text(), f"{example}\n{said.read_text()}"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_page_has_the_command_with_all_its_words(command):
    page = portctl("manual").stdout.replace("\\-", "-")
    sections = {section.split("\n", 1)[0]: section for section in page.split("\n.SS ")[1:]}
    assert command in sections
    for option in options(command):
        assert f"\\fB{option}\\fR" in sections[command]
    for argument in arguments(command):
        assert f"\n\\fI{argument}\\fR" in sections[command]


def test_the_manual_page_has_the_options_of_portctl():
    page = portctl("manual").stdout.replace("\\-", "-")
    section = page.split("\n.SH OPTIONS\n")[1].split("\n.SH ")[0]
    for option in options(""):
        assert f"\\fB{option}\\fR" in section


@pytest.mark.parametrize("judge", [["mandoc", "-Tlint", "-Wwarning"],
                                   ["man", "--warnings", "--encoding=UTF-8", "--local-file"],
                                   ["groff", "-man", "-ww", "-z"]], ids=lambda judge: judge[0])
def test_the_manual_page_is_right_roff(judge, tmp_path):
    page = tmp_path / "portctl.1"
    page.write_text(portctl("manual").stdout)
    done = subprocess.run([*judge, page], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (0, "")
    if judge[0] == "man":
        assert "vm create" in done.stdout
    else:
        assert done.stdout == ""


def test_the_docs_page_has_every_command():
    page = (ROOT / "docs/portctl.md").read_text()
    missing = [command for command in COMMANDS if f"`{command}`" not in page]
    assert not missing, f"docs/portctl.md lacks {missing}"


# --- what the shells' scripts ask ---


def candidates(*words: str) -> list[str]:
    done = portctl("complete", "portctl", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def test_every_command_is_completed():
    for command in COMMANDS:
        *before, last = command.split()
        assert last in candidates(*before, "")
        assert candidates(*before, last) == [name for name in candidates(*before, "") if name.startswith(last)]


def test_options_are_completed():
    for command in COMMANDS:
        assert options(command) | options("") <= set(candidates(*command.split(), "--"))
    assert candidates("watch", "--int") == ["--interval"]
    assert candidates("--json", "vm", "cr") == ["create"]
    assert candidates("--tenant", "acme", "vm", "cr") == ["create"]
    assert candidates("--tenant=acme", "vm", "cr") == ["create"]
    assert candidates("vm", "list", "") == candidates("vm", "list", "--")


def test_values_are_completed():
    assert candidates("eip", "request", "web", "--family", "") == ["4", "6"]
    assert candidates("eip", "request", "web", "--family=") == ["--family=4", "--family=6"]
    assert candidates("watch", "drops", "e") == ["eips"]
    assert candidates("--tls-ca", "") == [":files"]
    assert candidates("permit", "set", "203.0.113.1", "-f", "") == [":files"]
    assert candidates("batch", "") == [":files"]
    assert candidates("vm", "create", "web", "--mac", "") == []


def test_without_a_gateway_no_name_is_completed():
    assert candidates("vm", "get", "") == []
    assert candidates("vm", "frobnicate", "") == ["create", "delete", "get", "list", "move"]
    assert candidates("--timeout", "x", "vm", "get", "") == []
    assert candidates("show", "drops", "--frobnicate=") == []


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_scripts_parse(shell):
    done = subprocess.run([shell, "-n"], input=portctl("completion", shell).stdout, capture_output=True, text=True,
                          check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- errors say what to do ---

WRONG = {
    "": ["a command is missing", "hint:   one of vm, pool,", "portctl --help shows examples"],
    "vm": ["vm needs a command", "one of create, move, delete, get, list comes next", "portctl vm --help"],
    "vm craete web": ["'craete' is not a command here", "did you mean create?"],
    "vm frobnicate": ["'frobnicate' is not a command here", "one of create, move,"],
    "show drops --al": ["'--al' is not an option here", "did you mean --all?"],
    "show drops --tenat acme": ["'--tenat' is not an option here", "did you mean --tenant?"],
    "eip list one two": ["'one' is one word too many", "portctl eip list --help shows examples"],
    "vm create web --port": ["--port needs a value: PORT"],
    "vm create web --port vm0 --mac 02:00:00:00:00:01 --dip 10.0.0.2 --vlan 1 --vxlan 192.0.2.7,1":
        ["only one may be given of --vlan,--vxlan,--geneve"],
    "eip request web --family 5": ["--family is '5', expected one of 4, 6"],
    "eip request web --family six": ["--family is 'six', expected one of 4, 6"],
    "show drops --timeout 0": ["--timeout is '0', expected 0.001 to 86400"],
    "watch frobnicate": ["WHAT is 'frobnicate', expected one of ports, workers, eips, drops"],
    "watch --interval soon": ["--interval is 'soon', expected 0.1 to 3600"],
    "watch --count 0": ["--count is '0', expected 1 to 1000000000"],
    "watch --once --count 2": ["excludes --once"],
    "completion fish": ["SHELL is 'fish', expected one of bash, zsh"],
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_usage_says_what_to_do(words):
    done = portctl(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("portctl: ")
    for text in [*WRONG[words], "hint:   ", "--help shows examples\n"]:
        assert text in done.stderr
