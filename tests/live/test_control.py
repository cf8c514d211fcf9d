"""The control socket: what is said there, and what becomes of nonsense."""

from __future__ import annotations

import json
import os
import socket
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtable.live import client, place
from flowtable.live.client import Client, ServiceError
from flowtable.live.codec import CodecError, Lines
from flowtable.live.control import (
    _ANSWERS,
    _REQUESTS,
    AskFlows,
    AskStatus,
    Done,
    EndedRow,
    Event,
    Failed,
    Monitor,
    Reload,
    Stop,
    TupleRow,
    line,
    read_answer,
    read_request,
)
from flowtable.live.endpoint import Endpoint

ORDINARY = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
ANYTHING = st.recursive(ORDINARY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.text(max_size=8) | st.sampled_from(["kind", "path", "keep_rules", "src"]), inner, max_size=4
), max_leaves=8)  # fmt: skip
ENDED = EndedRow("inet x f", 6, TupleRow("a", "b", 1, 2), TupleRow("b", "a", 2, 1), "IDLE", "idle", 3, 4)


@settings(deadline=None)
@given(st.data())
def test_every_message_comes_through(data):
    kinds = {**_REQUESTS, **_ANSWERS}
    cls = kinds[data.draw(st.sampled_from(sorted(kinds)))]
    message = data.draw(st.builds(cls, **({"time": st.floats(0, 2**40)} if cls is Event else {})))
    read = read_request if cls in _REQUESTS.values() else read_answer
    sent = line(message)
    assert sent.endswith(b"\n")
    assert sent.count(b"\n") == 1
    assert line(read(sent)) == sent


@settings(deadline=None)
@given(st.binary(max_size=80) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_nonsense_is_refused_in_words(garbage: bytes):
    for read in (read_request, read_answer):
        try:
            read(garbage)
        except CodecError as error:
            assert str(error)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(_ANSWERS)), st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3), st.data()
)
def test_members_that_are_wrong_are_refused_in_words(kind, extra, data):
    names = list(_ANSWERS[kind].__dataclass_fields__)
    known = data.draw(st.dictionaries(st.sampled_from(names), ANYTHING) if names else st.just({}))
    try:
        read_answer(json.dumps({**extra, **known, "kind": kind}).encode())
    except CodecError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON: '{'"),
        ("[]", "not a JSON object: []"),
        (
            "{}",
            "kind: expected one of status, flows, connections, refused, monitor, flush, reload, stop,"
            " not None",
        ),
        ('{"kind": "stop", "keep_rules": 1}', "stop.keep_rules: expected true or false, not 1"),
        ('{"kind": "reload", "path": []}', "reload.path: expected a string, not []"),
        ('{"kind": "reload", "paht": "x"}', "reload: no member 'paht'"),
        ("[" * 100000, "not JSON: '" + "[" * 59 + "..."),
    ],
)
def test_what_is_said_of_a_wrong_request(text: str, message: str):
    with pytest.raises(CodecError) as caught:
        read_request(text.encode())
    assert str(caught.value) == message


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20).filter(lambda each: b"\n" not in each)), st.integers(1, 9))
def test_lines_come_out_however_they_come_in(texts: list[bytes], size: int):
    stream = b"".join(text + b"\n" for text in texts)
    lines = Lines(20)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [each for piece in pieces for each in lines.feed(piece)] == texts


def test_a_line_without_end_is_refused_before_it_fills_memory():
    lines = Lines(10)
    lines.feed(b"0123456789")
    with pytest.raises(CodecError, match="longer than 10 bytes"):
        lines.feed(b"0")


@pytest.fixture
def endpoint(tmp_path, monkeypatch):
    path = tmp_path / "control.sock"
    monkeypatch.setattr(client, "socket_path", lambda: path)
    opened = Endpoint(path)
    yield opened
    opened.close()


def serve(endpoint: Endpoint, answer):
    """Serve one client in a thread, as the service would in its loop."""

    def run():
        endpoint._socket.setblocking(True)
        peer = endpoint.accept()
        assert peer is not None
        peer._socket.setblocking(True)
        request = peer.read()
        if request is not None:
            answer(peer, request)
        while peer.busy:
            peer.write()
        peer.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_answers_come_as_they_were_given(endpoint):
    asked = []

    def answer(peer, request):
        asked.append(request)
        peer.answer(replace(ENDED, packets=number) for number in range(5000))

    thread = serve(endpoint, answer)
    with Client() as asking:
        rows = list(asking.ask(Reload("/x")))
    thread.join()
    assert asked == [Reload("/x")]
    assert rows == [replace(ENDED, packets=number) for number in range(5000)]


def test_a_failure_is_told(endpoint):
    thread = serve(endpoint, lambda peer, request: peer.fail("because"))
    with Client() as asking, pytest.raises(ServiceError, match=r"^because$"):
        list(asking.ask(Stop()))
    thread.join()


def test_garbage_gets_one_answer(endpoint):
    thread = serve(endpoint, lambda peer, request: pytest.fail("read as a request"))
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(endpoint._path))
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answer = read_answer(raw.makefile("rb").readline())
    thread.join()
    assert answer == Failed("not JSON: 'GET / HTTP/1.1\\r'")


def test_a_service_that_dies_is_told(endpoint):
    thread = serve(endpoint, lambda peer, request: peer.close())
    with Client() as asking, pytest.raises(ServiceError, match="went away"):
        list(asking.ask(AskStatus()))
    thread.join()


def test_without_a_service_the_client_says_how_to_start_one(endpoint):
    endpoint.close()
    with pytest.raises(ServiceError, match="flowtable up -f RULESET"):
        Client()


def test_only_the_owner_can_open_the_socket(endpoint):
    assert endpoint._path.stat().st_mode & 0o777 == 0o600


def test_a_monitor_that_does_not_read_loses_events_and_hears_of_it(endpoint):
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(str(endpoint._path))
    peer = endpoint.accept()
    raw.sendall(line(Monitor()))
    assert peer.read() == Monitor()
    event = Event(1.0, "trouble", text="x" * 1000)
    for _ in range(4000):
        peer.tell(event)
    assert len(peer._out) < 1 << 21
    stream = raw.makefile("rb")
    arrived = 0
    while peer.busy:
        arrived += bool(stream.readline())
        peer.write()
    peer.tell(event)
    peer.close()
    *waited, lost, last = (read_answer(each) for each in stream)
    arrived += len(waited)
    assert isinstance(lost, Event)
    assert lost.text == f"{4000 - arrived} events came faster than they were read"
    assert last == event
    raw.close()


def test_a_second_request_before_the_answer_is_refused(endpoint):
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(str(endpoint._path))
    peer = endpoint.accept()
    raw.sendall(line(AskFlows()))
    assert peer.read() == AskFlows()
    peer.answer(ENDED for _ in range(100000))
    assert peer.busy
    raw.sendall(line(AskFlows()))
    assert peer.read() is None
    received = b""
    while data := raw.recv(1 << 16):
        received += data
        if not peer.busy:
            peer.close()
        else:
            peer.write()
    assert read_answer(received.splitlines()[-1]) == Failed("a request is being answered already")
    raw.close()


def test_a_namespace_is_held_once_and_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "RUN", tmp_path)
    first = place.Hold()
    with pytest.raises(place.HeldError, match=f"process id {os.getpid()} holds this network namespace"):
        place.Hold()
    first.release()
    place.Hold().release()


def test_done_ends_the_answers():
    assert read_answer(line(Done())) == Done()
