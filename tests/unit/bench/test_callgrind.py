"""Self cost by source file, and what counts as growth."""

import callgrind_out
import guard
import pytest

# A function of worker.cc into which code of parse.h was inlined, and which calls a library.
PART = """# callgrind format
version: 1
desc: Trigger: --dump-after=fixed_traffic_case

positions: line
events: Ir
summary: 171

ob=(27) /src/build/bin/bench
fl=(608) /src/build/../dataplane/worker.cc
fn=(1) portcullis::poll()
100 20
fi=(616) /src/build/../dataplane/stages/parse.h
-67 100
+1 5
fe=(608)
+67 6
cob=(24) /usr/lib/x86_64-linux-gnu/dpdk/librte_net_ring.so.23.0
cfi=(235) ???
cfn=(2) eth_ring_rx
calls=3 0
* 30
* 7

ob=(24)
fl=(235)
fn=(2)
0 30
fi=(9) /usr/include/c++/12/bits/stl_algo.h
0 3

"""


@pytest.fixture
def root(tmp_path):
    for name in ("dataplane/worker.cc", "dataplane/stages/parse.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_inlined_code_counts_where_it_was_written(root):
    costs = callgrind_out.by_source(PART, root)
    assert costs == {"dataplane/worker.cc": 33, "dataplane/stages/parse.h": 105, "librte_net_ring": 30,
                     "libstdc++ headers": 3}


def test_the_cost_of_a_call_is_its_callees():
    assert sum(callgrind_out.parse(PART).values()) == 171


def test_lines_that_do_not_sum_up_are_refused():
    with pytest.raises(callgrind_out.Malformed, match="sum up to 171, the summary says 172"):
        callgrind_out.parse(PART.replace("summary: 171", "summary: 172"))


def test_a_name_must_be_given_before_it_is_used():
    with pytest.raises(callgrind_out.Malformed, match="name 608"):
        callgrind_out.parse(PART.replace("fl=(608) /src/build/../dataplane/worker.cc", "fl=(608)"))


def test_cut_short_output_is_refused():
    with pytest.raises(callgrind_out.Malformed, match="no summary"):
        callgrind_out.parse("events: Ir\n")


@pytest.mark.parametrize(("file", "name"), [
    ("/src/build/../dataplane/worker.cc", "dataplane/worker.cc"),
    ("/elsewhere/checkout/build/../dataplane/worker.cc", "dataplane/worker.cc"),
    ("../dataplane/worker.cc", "dataplane/worker.cc"),
    ("/usr/include/dpdk/rte_ethdev.h", "dpdk/rte_ethdev.h"),
    ("/usr/lib/gcc/x86_64-linux-gnu/12/include/avx2intrin.h", "gcc/avx2intrin.h"),
    ("/usr/include/c++/12/bits/stl_algo.h", "libstdc++ headers"),
    ("???", "librte_hash"),
    ("./string/memcpy.S", "librte_hash"),
])
def test_names_of_sources(file, name):
    ours = {"dataplane/worker.cc", "memcpy.S"}
    assert callgrind_out.source(file, "/usr/lib/librte_hash.so.23.0", ours.__contains__) == name


BEFORE = {"sum": 500.0, "parse.h": 100.0, "admit.h": 30.0, "counter.h": 4.0}


def test_what_stays_did_not_grow():
    assert guard.grew(BEFORE, BEFORE) == []
    assert guard.grew(BEFORE, BEFORE | {"sum": 524.9, "parse.h": 104.9}) == []


def test_growth_of_the_sum():
    assert guard.grew(BEFORE, BEFORE | {"sum": 526.0}) == ["sum: 500.0 -> 526.0 instructions a packet"]


def test_growth_of_a_file_while_the_sum_holds():
    assert guard.grew(BEFORE, BEFORE | {"parse.h": 115.0, "admit.h": 15.0}) == ["parse.h: 100.0 -> 115.0"]


def test_a_small_file_may_double_and_a_new_file_may_not_be_large():
    assert guard.grew(BEFORE, BEFORE | {"counter.h": 8.0}) == []
    assert guard.grew(BEFORE, BEFORE | {"new.h": 11.0}) == ["new.h: 0.0 -> 11.0"]


def test_crumbs_count_in_the_sum_only():
    assert guard.rounded({"a.h": 0.4, "b.h": 20.04, "c.h": 30.0}) == {"sum": 50.4, "c.h": 30.0, "b.h": 20.0}


@pytest.mark.parametrize(("changed", "reason"), [
    ({"compiler": "13.1.0"}, "of compiler 12.2.0, this is 13.1.0"),
    ({"dpdk": "DPDK 24.11"}, "of dpdk DPDK 22.11, this is DPDK 24.11"),
    ({"release": False}, "not optimised"),
])
def test_other_builds_are_skipped_by_name(changed, reason):
    description = {"compiler": "12.2.0", "dpdk": "DPDK 22.11", "release": True}
    expected = {"compiler": "12.2.0", "dpdk": "DPDK 22.11"}
    guard.check_identity(expected, description)
    with pytest.raises(guard.Skip, match=reason):
        guard.check_identity(expected, description | changed)
