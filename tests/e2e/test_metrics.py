"""The metrics page, scraped by Prometheus itself: what passes and what is denied is in its answers."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable

import pytest

import netns
from gateway import ROOT
from lab import METRICS
from programs import curl, web_server

LAB = {"metrics": True}
SERVER = "127.0.0.1:9090"
CONFIG = f"""\
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: portcullis
    static_configs: [{{ targets: ["{METRICS}"] }}]
"""

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus on PATH")


class Prometheus:
    """A server in the gateway's namespace, beside the gateway."""

    def __init__(self, lab, directory) -> None:
        self._namespace = lab.gateway.namespace
        self._config = directory / "prometheus.yml"
        self._config.write_text(CONFIG)
        with open(directory / "prometheus.log", "wb") as log, netns.entered(self._namespace):
            self._process = subprocess.Popen(
                ["prometheus", f"--config.file={self._config}", f"--storage.tsdb.path={directory}/data",
                 f"--web.listen-address={SERVER}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._log = directory / "prometheus.log"

    def __enter__(self) -> "Prometheus":
        return self

    def __exit__(self, *_) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _get(self, path: str, **parameters: str) -> dict | None:
        """None while it does not answer."""
        words = [word for name, value in parameters.items() for word in ("--data-urlencode", f"{name}={value}")]
        with netns.entered(self._namespace):
            done = subprocess.run(["curl", "--silent", "--max-time", "5", "--get", *words, f"http://{SERVER}/api/v1/{path}"],
                                  capture_output=True, text=True, check=False)
        assert self._process.poll() is None, self._log.read_text(encoding="utf-8")
        # Before its storage is open it answers in plain words.
        return json.loads(done.stdout) if done.stdout.startswith("{") else None

    def query(self, expression: str) -> list[tuple[dict, float]]:
        answer = self._get("query", query=expression)
        if answer is None:
            return []
        assert answer["status"] == "success", answer
        return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]

    def value(self, expression: str) -> float | None:
        """Of an expression with one result; None while there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def wait_for(self, expression: str, wanted: Callable[[float], bool] = lambda _: True, seconds: float = 30) -> float:
        """Until there is a value, and it is a wanted one. A scrape that took too long leaves none for a while."""
        deadline = time.monotonic() + seconds
        while (value := self.value(expression)) is None or not wanted(value):
            assert time.monotonic() < deadline, f"{expression} is {value}"
            time.sleep(0.1)
        return value

    def types(self) -> dict[str, str]:
        """Of every metric that the gateway's page has told it of."""
        answer = self._get("targets/metadata", match_target='{job="portcullis"}') or {"data": []}
        return {entry["metric"]: entry["type"] for entry in answer["data"]}


@pytest.fixture(scope="module")
def prometheus(lab, tmp_path_factory):
    with Prometheus(lab, tmp_path_factory.mktemp("prometheus")) as server:
        server.wait_for('up{job="portcullis"}', lambda value: value == 1)
        yield server


def test_it_takes_every_metric_of_the_manual_for_what_it_is(prometheus):
    rows = re.findall(r"^\| `(portcullis_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(encoding="utf-8"), re.M)
    assert len(rows) > 30
    of_gateway = {name: kind for name, kind in prometheus.types().items() if name.startswith("portcullis_")}
    assert of_gateway == dict(rows)


def test_what_is_denied_is_counted_there_and_what_passes_is_not(lab, tenant, prometheus):
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    reason = "destination_not_permitted"
    denied = f'portcullis_dropped_packets_total{{reason="{reason}"}}'
    to_vm = f'portcullis_port_transmitted_packets_total{{port="{web.host.port}"}}'
    before, sent = lab.gateway.all_drops()[reason], prometheus.wait_for(to_vm)

    with web_server(web.host):
        assert curl(lab.client, web.address) == f"hello {lab.client.address}"
    # A handshake, a request, an end of the connection.
    prometheus.wait_for(to_vm, lambda value: value >= sent + 4)
    assert prometheus.wait_for(denied) == before

    with web_server(web.host, 81), lab.gateway.drops() as drops:
        assert curl(lab.client, web.address, 81) is None
    assert drops.reasons() == {reason}
    prometheus.wait_for(denied, lambda value: value == before + drops.moved[reason])


def test_the_gauges_follow_the_state(tenant, prometheus):
    prometheus.wait_for("portcullis_eips_bound_edge", lambda value: value == 0)
    generation = prometheus.wait_for("portcullis_generation")
    web = tenant.endpoint("web")
    web.permit("in tcp 80 from any")
    prometheus.wait_for("portcullis_eips_bound_edge", lambda value: value == 1)
    prometheus.wait_for("portcullis_generation", lambda value: value > generation)


def test_a_gateway_that_is_gone_is_down_and_begins_again_at_zero(lab, tenant, prometheus):
    web = tenant.endpoint("web")
    web.permit("in icmp from any")
    polls = "portcullis_worker_polls_total"
    prometheus.wait_for(polls, lambda value: value > 0)
    lab.gateway.kill()
    prometheus.wait_for('up{job="portcullis"}', lambda value: value == 0)
    assert prometheus.value(polls) is None  # stale, not the last value for ever
    lab.gateway.start()
    lab.wait_for_next_hop()
    prometheus.wait_for('up{job="portcullis"}', lambda value: value == 1)
    prometheus.wait_for(f"resets({polls}[5m])", lambda value: value >= 1)
    prometheus.wait_for("portcullis_eips_bound_edge", lambda value: value == 1)
