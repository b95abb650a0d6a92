"""The state of a gateway with more than a message by TLS holds, as a document: by the UNIX socket, whole."""

import subprocess

import netns
from certificates import SERVER, Authority, api
from gateway import PORTCTL, Gateway
from nest import Nest
from portless import hardware

EIPS = 48_000
TLS_LIMIT = 64 << 20  # bytes of a message


def config(nest: Nest) -> str:
    """Ports without a wire: this is about the API."""
    return f"""\
{hardware(nest, memory_mb=512)}
pools {{ name: "public" prefix: "198.18.0.0/16" }}
capacity {{ eips: {EIPS} eips_per_tenant: {EIPS} index_pages: 2 rules_per_eip: 64 permit_chunks: 256 flows: 1024
  packet_buffers: 4096 }}
{api(nest.directory)}
store {{ path: "{nest.directory}/state.db" }}
"""


def long(name: str) -> str:
    return name.ljust(63, "x")


def document() -> str:
    """As text, of long names."""
    tags = "".join(f' tags: "{long(f"tag{n}")}"' for n in range(15))
    rules = "".join(f' rules {{ name: "{long(f"rule{n}")}" direction: INBOUND protocol: "tcp" remote {{ any: true }}'
                    f' local_ports {{ first: {n + 1} last: {n + 1} }} }}' for n in range(4))
    lines = ['pools { name: "pools/public" prefix: "198.18.0.0/16" kind: LOCAL }']
    for n in range(EIPS):
        high, low = divmod(n + 1, 256)
        vm = f'tenants/t/vms/{long(f"vm{n}")}'
        lines.append(f'vms {{ name: "{vm}" location {{ port: "vms" mac: "02:00:00:00:00:01" }} dip: "10.0.{high}.{low}" }}')
        lines.append(f'eips {{ name: "tenants/t/eips/198.18.{high}.{low}" vm: "{vm}"{tags}{rules} }}')
    return "\n".join(lines)


def portctl(gateway: Gateway, *words: str, **options) -> subprocess.CompletedProcess:
    with netns.entered(gateway.namespace):
        return subprocess.run([PORTCTL, "--timeout", "120", *words], stderr=subprocess.PIPE, text=True, check=False,
                              timeout=180, **options)


def test_a_document_larger_than_a_message_by_tls():
    with Nest() as nest:
        authority = Authority(nest.directory)
        authority.issue("gateway", "IP:127.0.0.1")
        authority.issue("provider", "URI:portcullis://provider")
        gateway = Gateway(nest.namespace("gw"), nest.directory, config(nest))
        gateway.start()
        file = nest.directory.joinpath
        local = ("--socket", file("api.sock"))
        remote = ("--server", SERVER, "--tls-cert", file("provider.pem"), "--tls-key", file("provider.key"),
                  "--tls-ca", file("ca.pem"))
        file("document").write_text(document())

        refused = portctl(gateway, *remote, "import", "-f", file("document"), stdout=subprocess.PIPE)
        assert refused.returncode != 0 and "RESOURCE_EXHAUSTED" in refused.stderr, refused.stderr
        gateway_now = portctl(gateway, *local, "eip", "list", "--tenant", "-", stdout=subprocess.PIPE)
        assert len(gateway_now.stdout.splitlines()) <= 1, "nothing of it"

        imported = portctl(gateway, *local, "import", "-f", file("document"), stdout=subprocess.PIPE)
        assert imported.returncode == 0, imported.stderr
        assert f"{2 * EIPS} objects changed" in imported.stdout.splitlines()[-1]

        gateway.kill()
        gateway.start()
        with file("exported").open("w") as out:
            assert portctl(gateway, *local, "export", stdout=out).returncode == 0
        with file("exported").open() as exported:
            assert sum(line == "eips {\n" for line in exported) == EIPS
        again = portctl(gateway, *local, "import", "-f", file("exported"), "--dry-run", stdout=subprocess.PIPE)
        assert again.returncode == 0 and again.stdout.startswith("would change 0 objects"), again

        refused = portctl(gateway, *remote, "export", stdout=subprocess.PIPE)
        assert refused.returncode == 1, refused
        size = int(refused.stderr.split("the document has ")[1].split()[0])
        assert size > TLS_LIMIT and "export by the gateway's UNIX socket" in refused.stderr, refused.stderr
        assert gateway.stop() == 0
