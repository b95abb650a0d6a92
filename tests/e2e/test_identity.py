"""Who may do what over TLS: the provider's and two tenants' certificates, and what is no certificate of ours."""

import json
import subprocess
import time

import pytest

import netns
from certificates import SERVER, Authority, api
from gateway import PORTCTL, PORTCULLISD, Gateway
from nest import Nest
from portless import hardware


def config(nest: Nest) -> str:
    """Ports without a wire: this is about the API."""
    return f"""\
{hardware(nest)}
pools {{ name: "public" prefix: "203.0.113.0/24" }}
capacity {{ eips: 256 index_pages: 2 rules_per_eip: 64 permit_chunks: 256 flows: 1024 packet_buffers: 4096 }}
{api(nest.directory)}
store {{ path: "{nest.directory}/state.db" }}
"""


class Service:
    """A gateway with an authority, and portctl over TLS from its own namespace."""

    def __init__(self, nest: Nest) -> None:
        self.directory = nest.directory
        self.authority = Authority(nest.directory)
        self.authority.issue("gateway", "IP:127.0.0.1")
        self.authority.issue("provider", "URI:portcullis://provider")
        self.authority.issue("acme", "URI:portcullis://tenant/acme")
        self.authority.issue("other", "URI:portcullis://tenant/other")
        self.gateway = Gateway(nest.namespace("gw"), nest.directory, config(nest))
        self.gateway.start()

    def portctl(self, certificate: str, *words: str, authority: str = "ca") -> subprocess.CompletedProcess:
        file = self.directory.joinpath
        with netns.entered(self.gateway.namespace):
            return subprocess.run(
                [PORTCTL, "--server", SERVER, "--tls-cert", file(f"{certificate}.pem"),
                 "--tls-key", file(f"{certificate}.key"), "--tls-ca", file(f"{authority}.pem"), "--timeout", "5", *words],
                capture_output=True, text=True, check=False, timeout=30)

    def audit(self) -> list[dict]:
        return [json.loads(line) for line in (self.directory / "audit.log").read_text().splitlines()]


@pytest.fixture(name="service", scope="module")
def _service():
    with Nest() as nest:
        service = Service(nest)
        service.gateway.portctl("vm", "create", "web", "--tenant", "acme", "--port", "vms",
                                "--mac", "02:00:00:00:00:01", "--dip", "10.0.0.1")
        yield service
        if service.gateway.running():
            assert service.gateway.stop() == 0


def test_a_tenant_does_what_is_its_own_and_sees_nothing_else(service):
    requested = service.portctl("acme", "--tenant", "acme", "eip", "request", "web")
    assert requested.returncode == 0, requested.stderr
    address = requested.stdout.strip()
    permitted = service.portctl("acme", "--tenant", "acme", "permit", "set", address, "in tcp 80 from any")
    assert permitted.returncode == 0, permitted.stderr

    for words in (("eip", "get", address), ("permit", "get", address), ("permit", "set", address, "--empty"),
                  ("tag", "set", address, "stolen"), ("eip", "release", address), ("show", "eip", address),
                  ("eip", "list")):
        refused = service.portctl("other", "--tenant", "acme", *words)
        assert refused.returncode == 1 and "NOT_FOUND" in refused.stderr, (words, refused)
    for words in (("vm", "list"), ("pool", "list"), ("show", "drops"), ("vm", "delete", "web")):
        refused = service.portctl("acme", "--tenant", "acme", *words)
        assert refused.returncode == 1 and "PERMISSION_DENIED" in refused.stderr, (words, refused)
    everything = service.portctl("acme", "--tenant", "-", "eip", "list")
    assert everything.returncode == 1 and "NOT_FOUND" in everything.stderr

    # The provider sees it, as it was left.
    listed = service.portctl("provider", "--tenant", "-", "--json", "eip", "list")
    assert [(eip["address"], eip["ruleCount"], eip["tags"]) for eip in json.loads(listed.stdout)["eips"]] == [
        (address, 1, [])]


def test_a_tenant_watches_and_completes_what_is_its_own(service):
    requested = service.portctl("acme", "--tenant", "acme", "eip", "request", "web")
    address = requested.stdout.strip()
    once = ("--once", "--interval", "0.1", "--json")
    watched = service.portctl("acme", "--tenant", "acme", "watch", "eips", *once)
    assert [eip["eip"] for eip in json.loads(watched.stdout)["eips"]] == [address], watched
    refused = service.portctl("acme", "--tenant", "acme", "watch", *once)
    assert refused.returncode == 1 and "PERMISSION_DENIED" in refused.stderr, refused
    refused = service.portctl("other", "--tenant", "acme", "watch", "eips", *once)
    assert refused.returncode == 1 and "NOT_FOUND" in refused.stderr, refused

    def completed(certificate: str) -> str:
        file = service.directory.joinpath
        words = ["--server", SERVER, "--tls-cert", file(f"{certificate}.pem"), "--tls-key", file(f"{certificate}.key"),
                 "--tls-ca", file("ca.pem"), "--tenant", "acme", "eip", "get", ""]
        with netns.entered(service.gateway.namespace):
            return subprocess.run([PORTCTL, "complete", "portctl", *words],
                                  capture_output=True, text=True, check=True, timeout=30).stdout

    assert completed("acme") == f"{address}\t\n"
    assert completed("other") == ""


def test_what_is_no_certificate_of_the_authority_gets_no_connection(service):
    forger = Authority(service.directory, "forger")
    forger.issue("forged", "URI:portcullis://provider")
    refused = service.portctl("forged", "pool", "list")
    assert refused.returncode == 3 and "hint:" in refused.stderr, refused
    # Nor does portctl speak with a server of somebody else.
    refused = service.portctl("provider", "pool", "list", authority="forger")
    assert refused.returncode == 3 and "--tls-ca" in refused.stderr, refused
    service.authority.issue("nameless", "DNS:ops.example.net")
    refused = service.portctl("nameless", "pool", "list")
    assert refused.returncode == 1 and "UNAUTHENTICATED" in refused.stderr, refused
    assert service.portctl("provider", "pool", "list").returncode == 0

    with netns.entered(service.gateway.namespace):
        plain = subprocess.run(["curl", "--silent", "--max-time", "3", f"http://{SERVER}/"], capture_output=True, check=False)
        without = subprocess.run(["curl", "--silent", "--max-time", "3", "--http2", "--cacert", service.directory / "ca.pem",
                                  f"https://{SERVER}/"], capture_output=True, check=False)
    assert plain.returncode != 0
    assert without.returncode != 0


def test_every_change_is_in_the_audit_log(service):
    before = len(service.audit())
    service.portctl("provider", "pool", "create", "audited", "192.0.2.0/25")
    service.portctl("other", "pool", "delete", "audited")
    (service.directory / "audit.log").rename(service.directory / "audit.log.1")
    service.gateway.portctl("pool", "delete", "audited")

    rotated = [json.loads(line) for line in (service.directory / "audit.log.1").read_text().splitlines()]
    created, denied = rotated[before:]
    assert (created["who"], created["call"], created["object"], created["status"]) == (
        "provider", "CreatePool", "pools/audited", "OK")
    assert created["certificate"] == "CN=provider" and created["peer"].startswith("ipv4:127.0.0.1:")
    assert (denied["who"], denied["status"], "generation" in denied) == ("tenants/other", "PERMISSION_DENIED", False)
    [deleted] = service.audit()
    assert (deleted["who"], deleted["generation"]) == ("provider", created["generation"] + 1)
    assert deleted["peer"].startswith("unix:")


def test_certificates_are_replaced_without_a_restart(service):
    """The gateway's and the authority's: new clients are let in, those of the old authority no longer."""
    process = service.gateway.process.pid
    service.authority.issue("late", "URI:portcullis://provider")
    new = Authority(service.directory, "new-ca")
    new.issue("gateway", "IP:127.0.0.1")
    new.issue("new-provider", "URI:portcullis://provider")
    (service.directory / "ca.pem").rename(service.directory / "old-ca.pem")
    (service.directory / "ca.pem").write_bytes((service.directory / "new-ca.pem").read_bytes())

    deadline = time.monotonic() + 10
    while (listed := service.portctl("new-provider", "pool", "list", authority="new-ca")).returncode != 0:
        assert time.monotonic() < deadline, listed
        time.sleep(0.2)
    assert service.portctl("late", "pool", "list", authority="new-ca").returncode == 3
    assert service.gateway.process.pid == process and service.gateway.running()


def test_what_is_wrong_with_the_files_is_said_before_the_start(service, tmp_path):
    text = service.gateway.config.read_text()
    wrong = tmp_path / "wrong.txtpb"
    wrong.write_text(text.replace("gateway.key", "provider.key").replace("ca.pem", "none.pem"))
    checked = subprocess.run([PORTCULLISD, "--check-config", "--config", wrong], capture_output=True, text=True,
                             check=False, timeout=20)
    assert checked.returncode == 1
    lines = checked.stderr.splitlines()
    assert [line.split(": ", 1)[1].split(" ", 1)[0] for line in lines] == ["api.tls.key", "api.tls.client_ca"]
    assert "a key that is not that of the certificate" in lines[0] and "cannot be read" in lines[1]
