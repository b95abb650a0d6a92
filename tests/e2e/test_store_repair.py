"""A damaged store: the gateway refuses it and says what to do; what is left of it is told and made a store again."""

import sqlite3
import subprocess

import pytest

from gateway import PORTCULLISD, Gateway
from nest import Nest
from portless import config


@pytest.fixture(name="gateway")
def _gateway():
    with Nest() as nest:
        gateway = Gateway(nest.namespace("gw"), nest.directory, config(nest))
        yield gateway
        if gateway.running():
            gateway.kill()


def portcullisd(*words: str) -> tuple[int, str]:
    done = subprocess.run([PORTCULLISD, *words], capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout + done.stderr


def vms(gateway) -> list[str]:
    return [vm["name"] for vm in gateway.portctl("vm", "list", "--tenant", "-").get("vms", [])]


def create(gateway, number: int) -> int:
    """Gives the generation."""
    made = gateway.portctl("--tenant", "acme", "vm", "create", f"vm{number}", "--port", "vms",
                           "--mac", f"02:00:00:00:00:{number:02x}", "--dip", f"10.0.0.{number}")
    return int(made["generation"])


def test_damaged_checked_repaired_and_started(gateway):
    store = str(gateway.directory / "state.db")
    gateway.start()
    generations = {number: create(gateway, number) for number in range(1, 6)}
    status, said = portcullisd("--check-store", store)
    assert status == 1 and "has this store open" in said
    assert gateway.stop() == 0
    assert portcullisd("--check-store", store)[0] == 0

    with sqlite3.connect(store) as connection:
        connection.execute("UPDATE log SET record = zeroblob(length(record)) WHERE generation = ?", (generations[4],))
    connection.close()
    damaged = (gateway.directory / "state.db").read_bytes()

    with pytest.raises(RuntimeError) as refused:
        gateway.start()
    assert f"the record of generation {generations[4]} has a wrong checksum" in str(refused.value)
    assert f"portcullisd --check-store {store}" in str(refused.value)
    gateway.process = None

    status, said = portcullisd("--check-store", store)
    assert status == 1
    assert f"damaged: the record of generation {generations[4]} has a wrong checksum" in said
    assert f"whole: generation {generations[3]}: 1 pools, 3 vms" in said
    assert f"lost: the changes of generations {generations[4]} to {generations[5]}" in said
    assert "tenants/acme/vms/vm5" in said and f"--repair-store {store} --accept-loss" in said

    status, said = portcullisd("--repair-store", store)
    assert status == 1 and "--accept-loss" in said
    assert (gateway.directory / "state.db").read_bytes() == damaged
    status, said = portcullisd("--repair-store", store, "--accept-loss")
    assert status == 0, said
    assert (gateway.directory / "state.db.damaged-1").read_bytes() == damaged

    gateway.start()
    assert vms(gateway) == [f"tenants/acme/vms/vm{number}" for number in (1, 2, 3)]
    assert int(gateway.portctl("show", "gateway")["generation"]) == generations[3]
    create(gateway, 5)
    gateway.kill()
    gateway.start()
    assert len(vms(gateway)) == 4
    assert gateway.stop() == 0


def test_a_damaged_header_costs_nothing(gateway):
    store = gateway.directory / "state.db"
    gateway.start()
    create(gateway, 1)
    assert gateway.stop() == 0
    store.write_bytes(bytes(16) + store.read_bytes()[16:])
    with pytest.raises(RuntimeError, match="--check-store"):
        gateway.start()
    gateway.process = None
    status, said = portcullisd("--repair-store", str(store))
    assert status == 0 and "lost" not in said, said
    gateway.start()
    assert len(vms(gateway)) == 1
    assert gateway.stop() == 0


def test_wrong_words_are_usage():
    for words in ((), ("--check-store", "a", "--repair-store", "b"), ("--check-store", "a", "--accept-loss"),
                  ("--check-store", "a", "--check-config")):
        assert portcullisd(*words)[0] == 2, words
    status, said = portcullisd("--help")
    assert status == 0 and "\nExamples:\n" in said
