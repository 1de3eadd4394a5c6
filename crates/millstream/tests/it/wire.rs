//! HTTP as bytes on a socket, so that a test says every header itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::program::Run;

const TIMEOUT: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// `GET`, with `Host` as it should be.
pub(crate) fn get(run: &Run, path: &str) -> Answer {
    request(run, "GET", path, &[("Host", run.host())], "")
}

/// `/api/status` of a server; none when it does not answer as it should.
pub(crate) fn status(host: &str) -> Option<Value> {
    json_of(host, "/api/status")
}

/// `/api/ledger` of a server; none when it does not answer as it should.
pub(crate) fn ledger(host: &str) -> Option<Value> {
    json_of(host, "/api/ledger")
}

/// JSON of a server; none when it does not answer as it should.
pub(crate) fn json_of(host: &str, path: &str) -> Option<Value> {
    let mut socket = TcpStream::connect(host).ok()?;
    write!(socket, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
}

/// `POST /api/sql`.
pub(crate) fn sql(run: &Run, sql: &str) -> Answer {
    post(run, "/api/sql", &serde_json::json!({ "sql": sql }))
}

/// `POST` with a body of JSON.
pub(crate) fn post(run: &Run, path: &str, body: &Value) -> Answer {
    request(run, "POST", path, &[("Host", run.host()), ("Content-Type", "application/json")], &body.to_string())
}

/// A request with exactly these headers, and those for the length of the body.
pub(crate) fn request(run: &Run, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut reader = send(run, method, path, headers, body);
    let (status, headers) = head_of(&mut reader);
    let mut answer = Answer { status, headers, body: Vec::new() };
    if answer.header("transfer-encoding") == Some("chunked") {
        while let Some(piece) = chunk(&mut reader) {
            answer.body.extend(piece);
        }
    } else if let Some(length) = answer.header("content-length").map(|length| length.parse().unwrap()) {
        answer.body = vec![0; length];
        reader.read_exact(&mut answer.body).unwrap();
    }
    answer
}

/// The first events of `/api/stream`, as name and data, until `enough` says so.
pub(crate) fn events(run: &Run, enough: impl Fn(&[(String, Value)]) -> bool) -> Vec<(String, Value)> {
    let mut reader = send(run, "GET", "/api/stream", &[("Host", run.host())], "");
    let (status, headers) = head_of(&mut reader);
    assert_eq!(status, 200, "{headers:?}");
    assert!(headers.iter().any(|(name, value)| name == "content-type" && value == "text/event-stream"), "{headers:?}");
    let mut text = String::new();
    let mut events = Vec::new();
    while !enough(&events) {
        text += &String::from_utf8(chunk(&mut reader).expect("the stream goes on")).unwrap();
        while let Some((event, rest)) = text.split_once("\n\n") {
            let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
            if let (Some(name), Some(data), Some(_)) = (field("event:"), field("data:"), field("id:")) {
                events.push((name.to_owned(), serde_json::from_str(data).unwrap()));
            }
            text = rest.to_owned();
        }
    }
    events
}

/// Sends a request; the answer is what is read from the connection.
pub(crate) fn send(run: &Run, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(run.host()).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    // A server that refuses by the head may close before it has the body.
    let _ = socket.write_all(body.as_bytes());
    BufReader::new(socket)
}

/// Status and headers of an answer.
pub(crate) fn head_of(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let status = line(reader).split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let line = line(reader);
        let Some((name, value)) = line.split_once(": ") else { return (status, headers) };
        headers.push((name.to_lowercase(), value.to_owned()));
    }
}

/// The next piece of a body that comes in pieces; none at its end.
fn chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let length = usize::from_str_radix(&line(reader), 16).unwrap();
    let mut piece = vec![0; length];
    reader.read_exact(&mut piece).unwrap();
    line(reader);
    (length > 0).then_some(piece)
}

fn line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
