"""The public API from Python: messages by protoc, and a stub for each service made from its descriptor."""

import functools
import importlib
import pathlib
import sys
import tempfile

import grpc

from netns import run

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVICES = {"TenantService": "tenant_service", "ProviderService": "provider_service",
            "ObserveService": "observe_service"}


@functools.cache
def messages():
    """The generated modules of portcullis/v1, by name."""
    protos = sorted((ROOT / "control/proto/portcullis/v1").glob("*.proto"))
    with tempfile.TemporaryDirectory() as generated:
        run(["protoc", f"--proto_path={ROOT / 'control/proto'}", f"--python_out={generated}", *map(str, protos)])
        sys.path.insert(0, generated)
        try:
            return {proto.stem: importlib.import_module(f"portcullis.v1.{proto.stem}_pb2") for proto in protos}
        finally:
            sys.path.remove(generated)


class Api:
    """`api.tenant.SetPermitList(request, timeout=…)`; requests are made with `new`."""

    def __init__(self, socket: pathlib.Path) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}", options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 20),
            ("grpc.min_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 50)])
        self.tenant = self._stub("TenantService")
        self.provider = self._stub("ProviderService")
        self.observe = self._stub("ObserveService")

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    def _stub(self, service: str):
        descriptor = messages()[SERVICES[service]].DESCRIPTOR.services_by_name[service]
        stub = type(service, (), {})()
        for method in descriptor.methods:
            call = self._channel.unary_stream if method.name == "WatchEvents" else self._channel.unary_unary
            setattr(stub, method.name, call(
                f"/{descriptor.full_name}/{method.name}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=new_class(method.output_type.name).FromString))
        return stub


def new_class(name: str):
    for module in messages().values():
        if hasattr(module, name):
            return getattr(module, name)
    raise KeyError(name)


def new(name: str, /, **fields):
    return new_class(name)(**fields)
