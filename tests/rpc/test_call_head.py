"""What a request's header block asks for, and whom it concerns when it is wrong."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from purerpc.grpclib.status import StatusCode

from arbiter.rpc.call_head import LONGEST_METADATA, read_head

METHOD = object()
METHODS = {("test.Service", "Unary"): METHOD}
PSEUDO = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/test.Service/Unary"), (b":authority", b"host")]
GRPC = [(b"te", b"trailers"), (b"content-type", b"application/grpc")]


def head(*fields, pseudo=PSEUDO, kind=GRPC):
    return read_head([*pseudo, *kind, *fields], METHODS)


def without(name):
    return [field for field in PSEUDO if field[0] != name]


def test_a_request_is_read():
    found = head((b"grpc-timeout", b"250m"), (b"x-text", b"abc"), (b"user-agent", b"me"))
    assert (found.service, found.name, found.method, found.authority) == ("test.Service", "Unary", METHOD, "host")
    assert (found.timeout, found.encoding, found.metadata) == (0.25, b"identity", (("x-text", "abc"), ("user-agent", "me")))
    assert (found.malformed, found.refused, found.failure) == ("", 0, None)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([*without(b":path"), *GRPC], id="no path"),
        pytest.param([*without(b":path"), (b":path", b""), *GRPC], id="an empty path"),
        pytest.param([*without(b":method"), *GRPC], id="no method"),
        pytest.param([*without(b":scheme"), *GRPC], id="no scheme"),
        pytest.param([*PSEUDO, (b":path", b"/b"), *GRPC], id="two paths"),
        pytest.param([*PSEUDO, (b":status", b"200"), *GRPC], id="an answer's pseudo header"),
        pytest.param([*PSEUDO, (b":nonsense", b"x"), *GRPC], id="an unknown pseudo header"),
        pytest.param([*PSEUDO[:3], *GRPC, PSEUDO[3]], id="a pseudo header behind others"),
        pytest.param([*PSEUDO, *GRPC, (b"X-Upper", b"x")], id="capitals"),
        pytest.param([*PSEUDO, *GRPC, (b"", b"x")], id="no name"),
        *(
            pytest.param([*PSEUDO, *GRPC, (name, b"x")], id=repr(name))
            for name in (b"x y", b"x:y", b"x\0", b"x\n", b"x\x7f", b"\xff", b"\xff-bin", b"x/", b'x"')
        ),
        *(
            pytest.param([*PSEUDO, *GRPC, (name, b"x")], id=name.decode())
            for name in (b"connection", b"transfer-encoding", b"upgrade", b"keep-alive", b"proxy-connection")
        ),
    ],
)
def test_what_is_no_http_request_is_malformed(headers):
    assert read_head(headers, METHODS).malformed


@pytest.mark.parametrize("method", [b"GET", b"post", b"CONNECT", b""])
def test_another_method_is_refused_by_http(method):
    assert head(pseudo=[(b":method", method), *PSEUDO[1:]]).refused == 405


@pytest.mark.parametrize("kind", [b"", b"text/html", b"application/json", b"application/grpcx", b"application/grpc-web"])
def test_another_content_type_is_refused_by_http(kind):
    assert head(kind=[(b"content-type", kind)]).refused == 415
    assert head(kind=[]).refused == 415


@pytest.mark.parametrize("kind", [b"application/grpc", b"application/grpc+proto", b"application/grpc;x=1", b"application/grpc ; x"])
def test_grpcs_content_types_are_taken(kind):
    assert head(kind=[(b"content-type", kind)]).refused == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1H", 3600),
        (b"2M", 120),
        (b"3S", 3),
        (b"4m", 0.004),
        (b"5u", 5e-6),
        (b"6n", 6e-9),
        (b"0S", 0),
        (b"00000001S", 1),
        (b"99999999H", math.inf),
    ],
)
def test_a_deadline_is_read(text, seconds):
    assert head((b"grpc-timeout", text)).timeout == pytest.approx(seconds)


@pytest.mark.parametrize("text", [b"", b"S", b"1", b"1s", b"-1S", b"1.5S", b"123456789S", b"1S ", b" 1S", b"\xb2S", b"1\xff"])
def test_a_deadline_that_is_none_fails_its_call(text):
    found = head((b"grpc-timeout", text))
    assert found.failure.status_code is StatusCode.INVALID_ARGUMENT
    assert "grpc-timeout" in found.failure.status_message


def test_two_deadlines_fail_their_call():
    assert head((b"grpc-timeout", b"1S"), (b"grpc-timeout", b"2S")).failure.status_code is StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "path", [b"x", b"test.Service/Unary", b"/test.Service", b"/test.Service/", b"//Unary", b"/a/b/c", b"*", b"/a/" + b"x" * 500]
)
def test_a_path_that_names_no_method_is_unimplemented(path):
    found = head(pseudo=[*without(b":path"), (b":path", path)])
    assert (found.failure.status_code, found.method, found.malformed) == (StatusCode.UNIMPLEMENTED, None, "")


def test_an_unknown_method_is_known_by_name_so_that_the_gate_comes_first():
    found = head(pseudo=[*without(b":path"), (b":path", b"/test.Service/Other")])
    assert (found.path, found.method, found.failure) == ("test.Service/Other", None, None)


@pytest.mark.parametrize("encoding", [b"deflate", b"", b"GZIP", b"\xff"])
def test_an_unknown_compression_is_unimplemented(encoding):
    assert head((b"grpc-encoding", encoding)).failure.status_code is StatusCode.UNIMPLEMENTED


def test_binary_metadata_is_decoded_padded_or_not_and_several_at_once():
    assert head((b"a-bin", b"AP8="), (b"b-bin", b"AP8"), (b"c-bin", b"AA,AQ==,"), (b"d-bin", b"")).metadata == (
        ("a-bin", b"\x00\xff"),
        ("b-bin", b"\x00\xff"),
        ("c-bin", b"\x00"),
        ("c-bin", b"\x01"),
        ("c-bin", b""),
        ("d-bin", b""),
    )


@pytest.mark.parametrize(("name", "value"), [(b"a-bin", b"!"), (b"a-bin", b"AAAAA"), (b"a", b"\xff"), (b"a", b"\n")])
def test_metadata_that_nobody_could_read_fails_its_call_and_names_the_field(name, value):
    found = head((name, value))
    assert found.failure.status_code is StatusCode.INVALID_ARGUMENT
    assert "metadata" in found.failure.status_message
    assert "\n" not in found.failure.status_message


def test_too_much_metadata_is_a_resource_exhausted_and_nothing_of_it_is_kept():
    assert head((b"a", b"x" * (LONGEST_METADATA - 1))).failure is None
    found = head((b"a", b"x" * LONGEST_METADATA))
    assert (found.failure.status_code, found.metadata) == (StatusCode.RESOURCE_EXHAUSTED, ())


NAMES = st.one_of(
    st.sampled_from([name for name, _ in [*PSEUDO, *GRPC]] + [b"grpc-timeout", b"grpc-encoding", b"x-bin", b"x"]), st.binary(max_size=8)
)
VALUES = st.one_of(st.sampled_from([value for _, value in [*PSEUDO, *GRPC]] + [b"1S", b"gzip"]), st.binary(max_size=12))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.booleans())
def test_any_fields_are_read_without_an_error_of_ours(fields, whole):
    found = head(*fields) if whole else read_head(fields, METHODS)
    if found.failure is not None:
        found.failure.status_message.encode("ascii")
    assert all(isinstance(value, str | bytes) for _, value in found.metadata)
    assert found.authority.isascii()
    assert found.service.isascii()
