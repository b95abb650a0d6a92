"""A tenant of the laboratory, and its endpoints: what a person would do with portctl."""

import dataclasses

from gateway import Gateway
from lab import Host, Lab


@dataclasses.dataclass
class Endpoint:
    """A vm with an EIP."""

    host: Host
    address: str
    _gateway: Gateway

    def permit(self, *rules: str, keep_established: bool = False) -> None:
        """Replaces the permit list; no rules: nothing is permitted."""
        keep = ["--keep-established"] if keep_established else []
        self._gateway.portctl("permit", "set", self.address, *keep, *(rules or ["--empty"]))

    def tag(self, *tags: str) -> None:
        self._gateway.portctl("tag", "set", self.address, *tags)

    def release(self) -> None:
        self._gateway.portctl("eip", "release", self.address)

    def statistics(self) -> dict:
        return self._gateway.portctl("show", "eip", self.address)

    def flow_entries(self) -> int:
        return int(self.statistics()["flowEntries"])

    def rule_hits(self) -> dict[str, int]:
        return {hit["rule"]: int(hit.get("packets", 0)) for hit in self.statistics().get("rules", [])}


class Tenant:
    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def create_vm(self, name: str) -> Host:
        host = self._lab.vms[name]
        self._lab.gateway.portctl("vm", "create", name, "--port", host.port, "--mac", host.mac,
                                  "--dip", host.address, *host.link)
        return host

    def endpoint(self, name: str, *options: str) -> Endpoint:
        """The vm of that name, registered and with an EIP, which nothing reaches and which reaches nothing."""
        host = self.create_vm(name)
        answer = self._lab.gateway.portctl("eip", "request", name, *options)
        return Endpoint(host, answer["eip"]["address"], self._lab.gateway)

    def endpoint6(self, name: str, *options: str) -> Endpoint:
        """The same with a private address of IPv6 alone. `options`: of `vm create`."""
        host = self._lab.vms[name]
        self._lab.gateway.portctl("vm", "create", name, "--port", host.port, "--mac", host.mac, "--dip6", host.address6,
                                  *host.link, *options)
        answer = self._lab.gateway.portctl("eip", "request", name, "--family", "6")
        return Endpoint(host, answer["eip"]["address"], self._lab.gateway)

    def clear(self) -> None:
        """Releases every EIP and deletes every vm. The addresses rest; the pool has enough others."""
        gateway = self._lab.gateway
        self._lab.cut_connections()
        for eip in gateway.portctl("eip", "list").get("eips", []):
            gateway.portctl("eip", "release", eip["address"])
        for vm in gateway.portctl("vm", "list").get("vms", []):
            gateway.portctl("vm", "delete", vm["name"].rpartition("/")[2])
