"""The feed, the readers of the peers' counters, and the table of ratios."""

import struct

import feed
import ovs
import peer
import pytest
import table
import testpmd
from programs import Failed, lines_of


def test_the_feeds_checksums_are_right():
    frame = feed.frame(4095)
    assert len(frame) == feed.FRAME
    header, segment = frame[14:34], frame[34:]
    assert feed.checksum(header) == 0
    assert feed.checksum(header[12:20] + struct.pack("!BBH", 0, 6, len(segment)) + segment) == 0


def test_the_feed_has_every_flow_once(tmp_path):
    feed.write_pcap(tmp_path / "feed.pcap")
    data = (tmp_path / "feed.pcap").read_bytes()
    frames = [data[at + 16:at + 76] for at in range(24, len(data), 76)]
    assert len(frames) == feed.FLOWS
    assert len({frame[26:38] for frame in frames}) == feed.FLOWS
    assert len({frame[30:34] for frame in frames}) == feed.EIPS


def test_a_template_stands_for_every_eip():
    lines = feed.expand("# not this\nnw_dst=@EIP@,actions=@DIP@\npriority=0\n").splitlines()
    assert len(lines) == feed.EIPS + 1
    assert lines[0] == "nw_dst=100.64.0.1,actions=10.0.0.1"
    assert lines[253] == "nw_dst=100.64.0.254,actions=10.0.0.254"


def test_configuration_files_are_filled_in(tmp_path):
    (tmp_path / "args").write_text("# comment\n-l\n\n@CORE@,@OTHER@\n")
    assert lines_of(tmp_path / "args", CORE="1", OTHER="0") == ["-l", "1,0"]


SHOWN = """netdev@ovs-netdev:
  flows: 3
  port 0: ovs-netdev (tap)
    RX packets:9 errors:0 dropped:0 overruns:0 frame:0
    TX packets:8 errors:0
  port 1: in (dpdk: configured_rx_queues=1)
    RX packets:700 errors:0 dropped:0
    TX packets:1 errors:0 dropped:0
  port 2: out (dpdk: configured_rx_queues=1)
    RX packets:0 errors:0 dropped:0
    TX packets:690 errors:0 dropped:0
"""


def test_packets_of_an_ovs_port():
    assert (ovs.port_packets(SHOWN, "in", "RX"), ovs.port_packets(SHOWN, "out", "TX")) == (700, 690)
    with pytest.raises(Failed, match="port other"):
        ovs.port_packets(SHOWN, "other", "RX")


def test_packets_of_testpmd():
    shown = ("  ### NIC statistics for port 0  ###\n  RX-packets: 50 RX-missed: 0\n  TX-packets: 1\n"
             "  ### NIC statistics for port 1  ###\n  RX-packets: 0\n  TX-packets: 49 TX-errors: 0\n")
    assert testpmd.packets(shown) == (50, 49)


def test_a_trial_counts_what_comes_out(monkeypatch):
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(peer.time, "sleep", lambda _: None)
    monkeypatch.setattr(peer.time, "monotonic", lambda: next(clock))
    counters = iter([(0, 0), (8_000_000, 6_000_000)])
    trial = peer.count(lambda: next(counters), 2, iter([1.0, 2.8]).__next__)
    assert (trial.mpps, trial.lost, trial.share) == (3.0, 0.25, pytest.approx(0.9))


def entry(name, *rates, **options):
    return table.Entry(name, "work", "files", trials=[peer.Trial(rate) for rate in rates], **options)


def test_ratios_are_ours_over_theirs_with_and_without_the_floor():
    rows = {row["peer"]: row for row in table.to_json([
        entry("testpmd io", 50, 50, 50), entry("Portcullis", 25, 24, 26), entry("OVS", 5, 4, 6)])}
    assert rows["OVS"]["ratio"] == 5.0
    # 200 ns and 40 ns, of which the rig takes 20.
    assert rows["OVS"]["ns_beyond_floor"] == 180.0
    assert rows["OVS"]["ratio_beyond_floor"] == 9.0
    assert rows["testpmd io"]["ratio"] == 0.5
    assert "ratio_beyond_floor" not in rows["testpmd io"]
    assert "ratio" not in rows["Portcullis"]


def test_what_is_for_scale_only_is_not_compared_beyond_the_floor():
    rows = table.to_json([entry("testpmd io", 50), entry("Portcullis", 25), entry("nft", 0.5, scale_only=True)])
    assert rows[2]["ratio"] == 50.0
    assert "ns_beyond_floor" not in rows[2]


def test_a_peer_without_a_figure_is_named_with_its_reason():
    rows = table.to_json([entry("OVS", absent="no hugepages"), entry("nft", 0.5, scale_only=True)])
    text = table.markdown(rows)
    assert "No figure for OVS (work): no hugepages" in text
    assert "nft (for scale only)" in text
    assert "ratio" not in rows[1]


def test_unsteady_and_disturbed_trials_are_shown():
    text = table.markdown(table.to_json([entry("OVS", 5, 9, 2, 7, disturbed=["CPU 0 was 50% busy"])]))
    assert "OVS: 1 disturbed trials left out" in text
    assert "OVS: unsteady" in text
    assert "unsteady" not in table.markdown(table.to_json([entry("OVS", 5, 5.1, 4.95, 5)]))
