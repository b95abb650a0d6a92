"""Certificates as an operator makes them: docs/security.md has the same commands."""

import pathlib
import subprocess

SERVER = "127.0.0.1:8443"
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]


class Authority:
    """Issues certificates into its directory: NAME.pem and NAME.key; its own is NAME.pem as well."""

    def __init__(self, directory: pathlib.Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = name
        self._openssl("-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def issue(self, name: str, alternative_names: str) -> None:
        """Replaces the files, each at once, if they are there."""
        self._openssl("-days", "2", "-subj", f"/CN={name}", "-CA", f"{self._name}.pem", "-CAkey", f"{self._name}.key",
                      "-extensions", "usr_cert", "-addext", f"subjectAltName={alternative_names}",
                      "-keyout", f"{name}.key.new", "-out", f"{name}.pem.new")
        for suffix in ("key", "pem"):
            (self._directory / f"{name}.{suffix}.new").replace(self._directory / f"{name}.{suffix}")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", "req", "-x509", *KEY, *arguments], cwd=self._directory, check=True,
                       capture_output=True)


def api(directory: pathlib.Path) -> str:
    """A configuration's: the UNIX socket, and TLS at SERVER with the files gateway and ca."""
    return f"""\
api {{
  socket: "{directory}/api.sock"
  tls {{
    listen: "{SERVER}"
    certificate: "{directory}/gateway.pem"
    key: "{directory}/gateway.key"
    client_ca: "{directory}/ca.pem"
  }}
}}"""
