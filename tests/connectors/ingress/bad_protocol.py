"""More requests that must be refused: of Kafka-REST, and what is hardly HTTP."""

from tests.connectors.ingress.bad_requests import GOOD, Bad, as_json
from tests.connectors.ingress.raw import request

V2, AVRO, BINARY = (f"application/vnd.kafka.{form}.v2+json" for form in ("json", "avro", "binary"))
CHUNKED = {"Transfer-Encoding": "chunked"}
ONE = b'{"records":[{"value":1}]}'
DEEP = b'{"records":[{"value":' + b"[" * 40 + b"]" * 40 + b"}]}"


def rest(
    status: int, code: int, message: str, body: bytes, topic: str = "free", media_type: str = V2, **headers: str
) -> Bad:
    """A produce request; `message` is a part of the answer's, and names the row."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    name = f"v2: {code} {message} {topic} {body[-60:]!r}"
    return Bad(name, status, code, message, body, path=f"/topics/{topic}", headers={"Content-Type": media_type, **named})


def unknown(path: str) -> Bad:
    """A path of Kafka-REST proxies that is not here."""
    return Bad(f"no path: {path}", 404, 404, path, ONE, path=path, headers={"Content-Type": V2})


def raw(name: str, content: bytes, status: int = 400, code: str = "INVALID_HTTP") -> Bad:
    return Bad(name, status, code, "request", raw=content)


def chunks(content: bytes) -> bytes:
    """A request with `content` for the chunks of its body."""
    return request(body=content, length=False, headers=CHUNKED)


REST = [
    rest(404, 40401, "nowhere", ONE, "nowhere"),
    rest(404, 40401, "a/b", ONE, "a%2Fb"),
    rest(403, 40301, "_schemas", ONE, "_schemas"),
    rest(403, 40301, "kafkasql-journal", ONE, "kafkasql-journal"),
    rest(403, 40301, "registry-events", ONE, "registry-events"),
    rest(403, 40301, "fleet.dead-letters", ONE, "fleet.dead-letters"),
    rest(401, 40101, "API key", ONE, X_API_Key=""),
    rest(400, 400, "$", b"{"),
    rest(400, 400, "line 1", b'{"records":[{"value":NaN}]}'),
    rest(400, 400, "JSON", b'{"records":[{"value":"\xff"}]}'),
    rest(422, 422, "$.records", b'{"records":[]}'),
    rest(422, 422, "records", b"{}"),
    rest(422, 422, "colour", b'{"records":[{"value":1}],"colour":1}'),
    rest(422, 422, "$.records[1].partition", b'{"records":[{"value":1},{"value":1,"partition":"0"}]}'),
    rest(422, 422, "$.records[1]", b'{"records":[{"value":1},{"value":1,"colour":"0"}]}'),
    rest(422, 422, "partition 77", b'{"records":[{"value":1,"partition":77}]}'),
    rest(422, 422, "partition -1", b'{"records":[{"value":1,"partition":-1}]}'),
    rest(404, 40402, "'77'", ONE, "free/partitions/77"),
    rest(404, 40402, "'x'", ONE, "free/partitions/x"),
    rest(404, 40402, "'-1'", ONE, "free/partitions/-1"),
    rest(422, 422, "$", DEEP),
    rest(413, 413, "$.records", as_json({"records": [{}] * 10_001})),
    rest(415, 415, "application/vnd.kafka", ONE, media_type="application/json"),
    rest(406, 406, "application/vnd.kafka.v2+json", ONE, Accept="text/html"),
    rest(400, 400, "gzip", b"x", Content_Encoding="gzip"),
    rest(415, 415, "gzip", b"x", Content_Encoding="br"),
    rest(413, 413, "bytes", b" " * 10_000_001),
    rest(422, 42203, "$.records[0].value", b'{"records":[{"value":"*"}]}', media_type=BINARY),
    rest(422, 42202, "value_schema", ONE, media_type=AVRO),
    rest(422, 42201, "key_schema", b'{"records":[{"key":1,"value":1}],"value_schema":"\\"int\\""}', media_type=AVRO),
    rest(422, 42205, "schema", b'{"records":[{"value":1}],"value_schema":"{"}', media_type=AVRO),
    rest(422, 42205, "schema", b'{"records":[{"value":1}],"value_schema":"\\"nothing\\""}', media_type=AVRO),
    rest(422, 42205, "99", b'{"records":[{"value":1}],"value_schema_id":99}', media_type=AVRO),
    rest(422, 42203, "$.records[0].value", b'{"records":[{"value":"x"}],"value_schema":"\\"int\\""}', media_type=AVRO),
    rest(415, 415, "avro", ONE, "fleet.telemetry"),
    unknown("/consumers"),
    unknown("/consumers/group/instances/one/records"),
    unknown("/topics/free/nothing"),
    unknown("/brokers/1"),
    unknown("/v3"),
    unknown("/v3/nothing"),
    unknown("/v3/clusters/fleet/nothing"),
]
HTTP = [
    raw("no HTTP", b"hello\r\n\r\n"),
    raw("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    raw("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    raw("CONNECT", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    raw("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    raw("no host", b"GET /health HTTP/1.1\r\nA: b\r\n\r\n"),
    raw("two hosts", b"GET /health HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    raw("lower case method", b"get /health HTTP/1.1\r\n\r\n"),
    raw("path without its slash", b"GET health HTTP/1.1\r\nHost: a\r\n\r\n"),
    raw("path that is no ASCII", request(path="/v1/devices/ü/telemetry", body=GOOD)),
    raw("two lengths", request(body=GOOD).replace(b"Host:", b"Content-Length: 3\r\nHost:")),
    raw("the same length twice", request(body=b"").replace(b"Host:", b"Content-Length: 0\r\nHost:")),
    raw("length and chunks", request(body=GOOD, headers=CHUNKED)),
    raw("negative length", request(headers={"Content-Length": "-1"})),
    raw("length of many digits", request(headers={"Content-Length": "9" * 40})),
    raw("hexadecimal length", request(headers={"Content-Length": "0x10"})),
    raw("unknown transfer coding", request(body=GOOD, length=False, headers={"Transfer-Encoding": "gzip"})),
    raw("bad chunk", chunks(b"xyz\r\n")),
    raw("chunk longer than it says", chunks(b"1\r\nxyz\r\n0\r\n\r\n")),
    raw("folded header", b"GET /health HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
    raw("space before the colon", b"GET /health HTTP/1.1\r\nContent-Length : 0\r\n\r\n"),
    raw("NUL in a header", b"GET /health HTTP/1.1\r\nA: b\0\r\n\r\n"),
    raw("bare line feeds", b"GET /health HTTP/1.1\nA: b\n\n"),
    raw("a huge header", request(headers={"X": "x" * 20_000}), 431, "HEAD_TOO_LARGE"),
    raw("an endless header", b"GET /health HTTP/1.1\r\nA: " + b"x" * 500_000, 431, "HEAD_TOO_LARGE"),
    raw("very many headers", request(headers={f"X-{i}": "x" for i in range(5_000)}), 431, "HEAD_TOO_LARGE"),
    raw("a very long path", request(path="/v1/devices/" + "a" * 20_000 + "/telemetry"), 431, "HEAD_TOO_LARGE"),
    raw("an endless path", b"GET /" + b"a" * 500_000, 431, "HEAD_TOO_LARGE"),
    raw("huge trailers", chunks(b"0\r\nA: " + b"x" * 500_000), 431, "HEAD_TOO_LARGE"),
    raw("endless chunk extension", chunks(b"1;" + b"x" * 500_000), 431, "HEAD_TOO_LARGE"),
]
