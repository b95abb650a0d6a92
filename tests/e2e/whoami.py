"""A web server for a host of the laboratory: answers every GET with the address that the request came from.

    python3 whoami.py [PORT [ADDRESS]]
"""

import http.server
import socket
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802  (the name that the base class calls)
        body = f"hello {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        # HTTPServer asks the resolver for its own name, and there is none here to answer.
        http.server.socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


if __name__ == "__main__":
    PORT, ADDRESS = ([*sys.argv[1:], "80", ""] if len(sys.argv) < 2 else [*sys.argv[1:], ""])[:2]
    Server((ADDRESS, int(PORT))).serve_forever()
