"""The traffic that every peer is fed: 60-byte TCP frames (64 with FCS), 4096 flows from clients to 254 EIPs."""

import pathlib
import struct

EIPS = 254
FLOWS = 4096
FRAME = 60
CLIENTS = 0xC6120000  # 198.18.0.0, RFC 2544's range: one address a flow
FIRST_EIP = 0x64400001  # 100.64.0.1
FIRST_DIP = 0x0A000001  # 10.0.0.1
SERVICE = 80
CLIENT_MAC = bytes.fromhex("020000000001")
GATEWAY_MAC = bytes.fromhex("020000000101")
STRIDE = 2654435761  # odd, so it permutes the flows


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def frame(flow: int, to: bytes = GATEWAY_MAC) -> bytes:
    """TCP ACK+PSH from the flow's client to the service of its EIP."""
    source, destination = CLIENTS + flow, FIRST_EIP + flow % EIPS
    length = FRAME - 14
    header = struct.pack("!BBHHHBBHII", 0x45, 0, length, 0, 0x4000, 64, 6, 0, source, destination)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    segment = struct.pack("!HHIIBBHHH6x", 1024, SERVICE, 1, 1, 0x50, 0x18, 65535, 0, 0)
    pseudo = struct.pack("!IIBBH", source, destination, 0, 6, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    return to + CLIENT_MAC + b"\x08\x00" + header + segment


def write_pcap(path: pathlib.Path, to: bytes = GATEWAY_MAC) -> None:
    """Every flow once, in a permuted order."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number in range(FLOWS):
            data = frame(number * STRIDE % FLOWS, to)
            file.write(struct.pack("<IIII", 0, number, len(data), len(data)) + data)


def expand(template: str) -> str:
    """A line that names @EIP@ or @DIP@ stands for one line for each EIP."""
    lines = []
    for line in template.splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        count = EIPS if "@EIP@" in line or "@DIP@" in line else 1
        for n in range(count):
            lines.append(line.replace("@EIP@", dotted(FIRST_EIP + n)).replace("@DIP@", dotted(FIRST_DIP + n)))
    return "\n".join(lines) + "\n"


def dotted(address: int) -> str:
    return ".".join(str(byte) for byte in address.to_bytes(4, "big"))
