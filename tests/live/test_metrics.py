"""Metrics as Prometheus reads them, and those who ask for them over HTTP."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.live.control import CountRow, DeviceRow, FlowtableRow, Status
from flowtable.live.metrics import MetricsEndpoint, exposition, response
from tests.live.test_safety import RULES
from tests.live.world import Line, World, require_root

STATUS = Status(
    version="1",
    pid=1,
    uptime=2.5,
    mode="own",
    ruleset=None,
    flowtables=(FlowtableRow("inet", 'a"b\\c', "f", ("lan",), False, False, 3),),
    devices=(DeviceRow("lan", "xdp native", None), DeviceRow("wan", None, "not there")),
    flows=3,
    capacity=10,
    refused=1,
    refusals=(CountRow("NO_ROUTE", 1, "no route"),),
    added=4,
    ended=(CountRow("FIN", 1, "TCP FIN"),),
    packets=(),
    overruns=0,
    troubles=(),
)


def test_a_status_in_their_format():
    lines = exposition(STATUS).splitlines()
    assert 'flowtable_flows{family="inet",table="a\\"b\\\\c",flowtable="f"} 3' in lines
    assert "# TYPE flowtable_flows_added_total counter" in lines
    assert "flowtable_flows_added_total 4" in lines
    assert 'flowtable_flows_ended_total{reason="FIN"} 1' in lines
    assert 'flowtable_connections_refused{reason="NO_ROUTE"} 1' in lines
    assert 'flowtable_device_attached{device="lan",place="xdp native"} 1' in lines
    assert 'flowtable_device_attached{device="wan",place=""} 0' in lines


def test_what_is_not_measured_is_absent():
    assert "flowtable_packets_total" not in exposition(STATUS)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"200"),
        (b"HEAD /metrics?a=b HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
    ],
)
def test_requests(request_: bytes, status: bytes):
    head, body = response(request_, lambda: "x 1\n").split(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert (body == b"x 1\n") is (status == b"200" and request_.startswith(b"GET"))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_nonsense_gets_an_answer(request_: bytes):
    assert response(request_, str).startswith(b"HTTP/1.1 ")


def test_one_who_sends_too_much_is_hung_up_on():
    endpoint = MetricsEndpoint("127.0.0.1", 0)
    with socket.create_connection(endpoint._socket.getsockname()) as client:
        endpoint._socket.setblocking(True)
        scraper = endpoint.accept()
        assert scraper is not None
        client.sendall(b"x" * 10000)
        scraper._socket.setblocking(True)
        while not scraper.closed:
            scraper.read(str)
    endpoint.close()


def test_a_service_hands_them_out(tmp_path):
    require_root()
    with World(tmp_path) as world:
        line = Line(world)
        world.up(line.router, RULES, "--metrics", "10.0.1.1:9100")
        program = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
        asking = line.client.python(program, "http://10.0.1.1:9100/metrics")
        assert 'flowtable_flows{family="inet",table="x",flowtable="f"} 0' in asking.communicate()[0]
