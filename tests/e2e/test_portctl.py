"""portctl against a real gateway: completion in real shells, and watch under traffic."""

import json
import subprocess

import pytest

from gateway import PORTCTL
from shells import Shell

LAB = {"ipv6": True}


@pytest.fixture(params=["bash", "zsh"])
def shell(request, lab, tmp_path):
    with Shell(request.param, lab.gateway, tmp_path) as running:
        yield running


def test_commands_and_options_are_completed(shell):
    assert shell.complete("portctl vm cr") == ["create"]
    assert {"get", "set"} <= set(shell.complete("portctl permit "))
    assert shell.complete("portctl watch --int") == ["--interval"]
    assert shell.complete("portctl eip request web --family ") == ["4", "6"]
    assert shell.complete("portctl frobnicate --nothing") == ["--nothing"]


def test_files_are_completed(shell, tmp_path):
    (tmp_path / "web.rules").touch()
    assert shell.complete("portctl permit set 203.0.113.1 -f we") == ["web.rules"]
    assert shell.complete("portctl permit set 203.0.113.1 --file=we") == ["--file=web.rules"]


def test_objects_of_the_gateway_are_completed(lab, tenant, shell):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    assert shell.complete("portctl vm get ") == ["app", "web"]
    assert shell.complete("portctl eip request w") == ["web"]
    assert shell.complete("portctl permit set 203.") == sorted([web.address, app.address])
    assert shell.complete("portctl pool get ") == ["public", "public6"]
    assert shell.complete("portctl vm move web --port ") == ["ep-app", "ep-db", "ep-web"]
    assert shell.complete("portctl vm move web --port=ep-w") == ["--port=ep-web"]


def test_an_ipv6_address_is_completed_in_its_middle(lab, tenant, shell):
    host = lab.vms["db"]
    lab.gateway.portctl("vm", "create", "db", "--port", host.port, "--mac", host.mac, "--dip6", host.address6)
    address = lab.gateway.portctl("eip", "request", "db")["eip"]["address"]
    for begun in ("", "20", "2001:", "2001:db8:1::"):
        assert shell.complete(f"portctl eip release {begun}") == [address]


def test_objects_are_those_of_the_tenant_that_the_line_names(tenant, shell):
    tenant.create_vm("web")
    assert shell.complete("portctl --tenant acme vm get ") == []
    assert shell.complete("portctl --tenant default vm get ") == ["web"]


# --- watch ---


def watch(lab, *words: str) -> list[dict]:
    done = subprocess.run([PORTCTL, "--socket", lab.gateway.socket, "watch", "--json", *words], capture_output=True,
                          text=True, check=True, timeout=30)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_watch_shows_what_moves_and_only_that(lab, tenant):
    web, app = tenant.endpoint("web"), tenant.endpoint("app")
    web.permit("in icmp from any")
    pings = [lab.client.start("ping", "-n", "-q", "-i", "0.02", address) for address in (web.address, app.address)]
    try:
        samples = watch(lab, "--interval", "0.5", "--count", "3")
    finally:
        for process in pings:
            process.kill()
            process.wait()
    assert len(samples) == 3
    last = samples[-1]
    assert 0.4 < last["seconds"] < 2
    assert list(last) == ["time", "seconds", "ports", "workers", "eips", "drops"]
    ports = {port["port"]: port for port in last["ports"]}
    assert 20 < ports["uplink"]["receivedPackets"] < 130
    assert 10 < ports["ep-web"]["transmittedPackets"] < 65
    assert ports["ep-web"]["transmittedBits"] == pytest.approx(98 * 8 * ports["ep-web"]["transmittedPackets"], rel=0.1)
    assert ports["ep-app"]["transmittedPackets"] == 0
    eips = {eip["eip"]: eip for eip in last["eips"]}
    assert 10 < eips[web.address]["inPackets"] < 65
    assert eips[web.address]["inBits"] == pytest.approx(84 * 8 * eips[web.address]["inPackets"], rel=0.1)
    assert eips[app.address]["inPackets"] == 0
    drops = {drop["reason"]: drop for drop in last["drops"]}
    assert set(drops) == {"unbound"}
    assert 10 < drops["unbound"]["packets"] < 65
    # Each part is read by a call of its own, a little later than the one before.
    assert last["workers"][0]["dropped"] == pytest.approx(drops["unbound"]["packets"], abs=10)
    # And when nothing moves any more.
    quiet = watch(lab, "eips", "drops", "--once", "--interval", "0.3")[0]
    assert list(quiet) == ["time", "seconds", "eips", "drops"]
    assert quiet["drops"] == []
    assert all(eip["inPackets"] == 0 for eip in quiet["eips"])


def test_watch_for_people_without_a_terminal(lab, tenant):
    web = tenant.endpoint("web")
    done = subprocess.run([PORTCTL, "--socket", lab.gateway.socket, "watch", "--interval", "0.2", "--count", "2"],
                          capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.count("PORT ") == 2
    assert "\033" not in done.stdout
    assert "no EIP had traffic" in done.stdout
    named = subprocess.run([PORTCTL, "--socket", lab.gateway.socket, "watch", "--eip", web.address, "--once",
                            "--interval", "0.2"], capture_output=True, text=True, check=True, timeout=30)
    assert named.stdout.splitlines()[-1].split() == [web.address, "0", "0", "0", "0", "0", "1024"]
    assert "PORT" not in named.stdout


def test_watch_lives_through_releases_and_ends_when_nobody_reads(lab, tenant):
    web = tenant.endpoint("web")
    with subprocess.Popen([PORTCTL, "--socket", lab.gateway.socket, "watch", "eips", "--json", "--interval", "0.2"],
                          stdout=subprocess.PIPE, text=True) as process:
        assert web.address in process.stdout.readline()
        web.release()
        while web.address in process.stdout.readline():
            pass
        process.stdout.close()
        process.wait(timeout=5)


def test_watch_refuses_what_does_not_exist(lab, tenant):
    done = subprocess.run([PORTCTL, "--socket", lab.gateway.socket, "watch", "--eip", "203.0.113.99", "--once"],
                          capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert "NOT_FOUND" in done.stderr and "portctl eip list shows the EIPs" in done.stderr
