#!/usr/bin/python3
"""Gives a vm a public address and opens one of its TCP ports, with calls of the API.

    examples/python/generate        once
    examples/python/open_port.py web --port ep0 --mac 02:00:00:00:00:01 --dip 10.0.0.1 --tcp 80 --from 198.51.100.0/24

Prints the address. Every call here may be repeated: a second run changes nothing. Exit status: 0 done, 1 refused by the
gateway, 3 not reached. Needs Debian's python3-grpcio and python3-protobuf.
"""

import argparse
import pathlib
import sys

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).with_name("generated")))
from google.rpc import error_details_pb2, status_pb2  # noqa: E402  (found by the path above)
from portcullis.v1 import (permit_pb2, provider_service_pb2, provider_service_pb2_grpc,  # noqa: E402
                           tenant_service_pb2, tenant_service_pb2_grpc, vm_pb2)

TIMEOUT = 10  # seconds, of each call


def open_port(channel: grpc.Channel, wanted: argparse.Namespace) -> str:
    """The EIP of the vm, which from the last reply on lets these clients in and nobody else."""
    provider = provider_service_pb2_grpc.ProviderServiceStub(channel)
    tenant = tenant_service_pb2_grpc.TenantServiceStub(channel)

    vm = f"tenants/{wanted.tenant}/vms/{wanted.vm}"
    location = vm_pb2.Location(port=wanted.port, mac=wanted.mac)
    provider.CreateVm(provider_service_pb2.CreateVmRequest(vm=vm_pb2.Vm(name=vm, location=location, dip=wanted.dip)),
                      timeout=TIMEOUT)
    # Off by default: so far nothing reaches the address, and the vm reaches nothing.
    eip = tenant.RequestEip(tenant_service_pb2.RequestEipRequest(vm=vm), timeout=TIMEOUT).eip

    # The whole list, which takes the place of the one before.
    rule = permit_pb2.PermitRule(name="open-port", direction=permit_pb2.PermitRule.INBOUND, protocol="tcp")
    rule.local_ports.first = rule.local_ports.last = wanted.tcp
    rule.remote.prefixes.prefixes.extend(wanted.clients)
    reply = tenant.SetPermitList(tenant_service_pb2.SetPermitListRequest(eip=eip.name, rules=[rule]), timeout=TIMEOUT)
    print(f"enforced at generation {reply.generation}", file=sys.stderr)
    return eip.address


def explain(error: grpc.RpcError) -> bool:
    """Prints what the gateway says of an error: code, sentence, field, object. False if it was not the gateway."""
    print(f"{error.code().name}: {error.details()}", file=sys.stderr)
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata.get("grpc-status-details-bin", b""))
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(info) and "object" in info.metadata:
            print(f"  object: {info.metadata['object']}", file=sys.stderr)
        if detail.Unpack(bad_request):
            for violation in bad_request.field_violations:
                print(f"  field:  {violation.field}", file=sys.stderr)
    return info.domain == "portcullis"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vm", help="its id")
    parser.add_argument("--port", required=True, help="the endpoint port that its frames come from")
    parser.add_argument("--mac", required=True)
    parser.add_argument("--dip", required=True, help="its private IPv4 address")
    parser.add_argument("--tcp", required=True, type=int, help="the port to open")
    parser.add_argument("--from", required=True, action="append", dest="clients", metavar="PREFIX",
                        help="whom to let in; may be repeated")
    parser.add_argument("--tenant", default="default")
    parser.add_argument("--socket", default="/run/portcullis/api.sock")
    wanted = parser.parse_args()
    with grpc.insecure_channel(f"unix:{wanted.socket}") as channel:
        try:
            print(open_port(channel, wanted))
        except grpc.RpcError as error:
            return 1 if explain(error) else 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
