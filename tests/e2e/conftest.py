"""Fixtures: one laboratory for a module, and for each test a gateway without EIPs."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
pytest.register_assert_rewrite("programs")  # an assertion there says what it saw, as in a test

from lab import Lab  # noqa: E402  (found by the path above)
from tenant import Tenant  # noqa: E402


def pytest_addoption(parser) -> None:
    parser.addoption("--full", action="store_true", help="what takes long, too: 1,000 kills, not 100")


def pytest_configure(config) -> None:
    config.addinivalue_line("markers", "alone: needs the machine for itself; scripts/test runs it without company")


def pytest_collection_modifyitems(items) -> None:
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="network namespaces need root"))


@pytest.fixture(scope="module")
def lab(request):
    """A module may set LAB, the settings of its laboratory."""
    with Lab(**getattr(request.module, "LAB", {})) as laboratory:
        laboratory.gateway.start()
        laboratory.wait_for_next_hop()
        yield laboratory
        if laboratory.gateway.running():
            assert laboratory.gateway.stop() == 0


@pytest.fixture
def tenant(lab):
    """The tenant of all vms, before it asks for anything; what it has at the end is taken away again."""
    owner = Tenant(lab)
    yield owner
    owner.clear()


@pytest.fixture(autouse=True)
def _balance(request):
    """received + originated = transmitted + dropped + punted + held, whatever the test did."""
    yield
    if "lab" not in request.fixturenames:
        return
    laboratory = request.getfixturevalue("lab")
    if laboratory.gateway.running():
        laboratory.assert_balanced()
