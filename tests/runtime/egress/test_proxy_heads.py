"""What clients ask the proxy for, and how they are answered."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spin_runtime.egress.head import HeadInvalid, HeadReader, Wanted, answer


def read(data: bytes) -> Wanted:
    wanted = HeadReader().feed(data)
    assert wanted is not None
    return wanted


def test_a_tunnel() -> None:
    wanted = read(b"CONNECT pypi.org:443 HTTP/1.0\r\n\r\nbytes behind")
    assert (wanted.host, wanted.port, wanted.tunnel, wanted.rest) == ("pypi.org", 443, True, b"bytes behind")
    wanted = read(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n")
    assert (wanted.host, wanted.port) == ("[2001:db8::1]", 443)


def test_a_plain_request_is_written_anew_for_its_origin() -> None:
    head = b"POST http://user:pw@Example.org:8080/a%20b?c=d HTTP/1.1\r\nHost: evil.net\r\nProxy-Authorization: secret\r\nX-Hop: 1\r\n"
    wanted = read(head + b"Connection: keep-alive, x-hop\r\nContent-Length: 4\r\nAccept: */*\r\n\r\nbody")
    assert (wanted.host, wanted.port, wanted.tunnel, wanted.rest) == ("example.org", 8080, False, b"body")
    lines = wanted.head.decode().split("\r\n")
    assert lines[0] == "POST /a%20b?c=d HTTP/1.1"
    assert sorted(line.lower() for line in lines[1:] if line) == ["accept: */*", "connection: close", "content-length: 4", "host: example.org:8080"]


def test_a_head_may_come_in_pieces() -> None:
    reader, data = HeadReader(), b"GET http://example.org HTTP/1.1\r\nHost: example.org\r\n\r\n"
    pieces = [reader.feed(bytes([byte])) for byte in data]
    assert pieces[:-1] == [None] * (len(data) - 1)
    assert pieces[-1] is not None and pieces[-1].port == 80 and pieces[-1].head.startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        *(b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT a:65536 HTTP/1.1\r\nHost: a\r\n\r\n"),
        *(b"GET http://a:x/ HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01 TLS\r\n\r\n", b"GET http://a/ HTTP/1.1\r\n" + b"X: y\r\n" * 10_000),
    ],
)
def test_what_is_no_request_to_a_proxy(data: bytes) -> None:
    with pytest.raises(HeadInvalid):
        read(data)


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: b"CONNECT " + tail + b"\r\n\r\n"))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        wanted = HeadReader().feed(data)
    except HeadInvalid:
        return
    assert wanted is None or wanted.shown.isprintable()


def test_a_refusal_says_it_in_the_reason_and_in_the_body() -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="http://a/", headers=[("Host", "a")]))
    connection.receive_data(answer(403, "not there"))
    response, body = connection.next_event(), connection.next_event()
    assert isinstance(response, h11.Response) and (response.status_code, response.reason) == (403, b"not there")
    assert isinstance(body, h11.Data) and body.data == b"not there\n"
