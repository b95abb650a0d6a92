"""The example client in Python, against a real gateway."""

import os
import subprocess
import sys

import pytest

from gateway import ROOT
from lab import CLIENT
from programs import curl, web_server

EXAMPLE = ROOT / "examples/python"


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    directory = tmp_path_factory.mktemp("generated")
    subprocess.run([EXAMPLE / "generate", directory], check=True, capture_output=True)
    return directory


@pytest.fixture
def open_port(lab, tenant, modules):
    """Runs the example for the vm "web"."""
    def run(*words: str, socket=lab.gateway.socket, port: str = lab.vms["web"].port) -> subprocess.CompletedProcess:
        web = lab.vms["web"]
        return subprocess.run([sys.executable, EXAMPLE / "open_port.py", "web", "--port", port, "--mac", web.mac,
                               "--dip", web.address, "--socket", socket, *words], capture_output=True, text=True,
                              check=False, timeout=30, env=os.environ | {"PYTHONPATH": str(modules)})
    return run


def test_one_port_is_opened_to_whom_it_is_said(lab, open_port):
    with web_server(lab.vms["web"], 80), web_server(lab.vms["web"], 81):
        nobody = open_port("--tcp", "80", "--from", "192.0.2.0/24")
        assert nobody.returncode == 0, nobody.stderr
        address = nobody.stdout.strip()
        assert curl(lab.client, address, 80) is None
        done = open_port("--tcp", "80", "--from", "192.0.2.0/24", "--from", f"{CLIENT}/32")
        assert (done.returncode, done.stdout.strip()) == (0, address)
        assert curl(lab.client, address, 80) == f"hello {CLIENT}"
        assert curl(lab.client, address, 81) is None


def test_a_repeat_changes_nothing(lab, open_port):
    words = ["--tcp", "80", "--from", f"{CLIENT}/32"]
    first = open_port(*words)
    generation = lab.gateway.portctl("show", "gateway")["generation"]
    second = open_port(*words)
    assert (second.stdout, second.stderr) == (first.stdout, first.stderr)
    assert second.stderr == f"enforced at generation {generation}\n"
    assert lab.gateway.portctl("show", "gateway")["generation"] == generation


def test_a_refusal_is_printed_with_its_details(open_port):
    nowhere = open_port("--tcp", "80", "--from", "198.51.100.0/24", port="ep-none")
    assert nowhere.returncode == 1
    assert "there is no endpoint port 'ep-none'" in nowhere.stderr
    assert "  field:  vm.location.port" in nowhere.stderr
    assert "  object: tenants/default/vms/web" in nowhere.stderr
    wrong = open_port("--tcp", "80", "--from", "198.51.100.0/33")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "INVALID_ARGUMENT: '198.51.100.0/33' is no prefix" in wrong.stderr
    assert "  field:  rules[0].remote.prefixes[0]" in wrong.stderr


def test_a_gateway_that_is_not_there(open_port, tmp_path):
    gone = open_port("--tcp", "80", "--from", f"{CLIENT}/32", socket=tmp_path / "api.sock")
    assert (gone.returncode, gone.stdout) == (3, "")
    assert gone.stderr.startswith("UNAVAILABLE: ")
