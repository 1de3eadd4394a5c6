//! The API as clients on the network meet it.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use serde_json::json;

use crate::program::{Pipeline, Run};
use crate::wire::{events, get, json_of, request, send, sql, status};

/// A pipeline with `rows` rows, all of them in the archive.
fn archived(rows: usize, more: &str) -> (Pipeline, Run) {
    let pipeline = Pipeline::with_source("watch = true", more);
    pipeline.add_file("a.parquet", rows);
    let mut run = pipeline.start();
    if !more.contains("token") {
        let host = run.host().to_owned();
        run.wait_for("the rows in the archive", || status(&host).filter(|status| status["archive"]["rows"] == rows));
    }
    (pipeline, run)
}

#[test]
fn the_api_tells_status_ledger_tables_and_views() {
    let (_pipeline, run) =
        archived(100, "[[view]]\nname = \"fares\"\nsql = \"SELECT fare, count(*) AS n FROM events GROUP BY 1\"\n");
    let status = get(&run, "/api/status").json();
    assert_eq!(status["pipeline"], "trips");
    let ledger = get(&run, "/api/ledger").json();
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(ledger["total"]["delivered"], 100);
    let tables = get(&run, "/api/tables").json();
    let names: HashSet<_> = tables.as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert!(names.is_superset(&["live", "archive", "events", "rejects"].into()), "{names:?}");
    assert_eq!(get(&run, "/api/views").json()[0]["name"], "fares");
    let data = get(&run, "/api/views/fares/data").json();
    assert_eq!(data["rows"].as_array().unwrap().len(), 2, "{data}");
    let unknown = get(&run, "/api/views/nothing/data");
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["error"].as_str().unwrap().contains("`fares`"));
}

#[test]
fn sql_answers_as_json_and_as_arrow() {
    let (_pipeline, run) = archived(10, "");
    let answer = sql(&run, "SELECT id, at, name, fare FROM events WHERE id < 2 ORDER BY id");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["columns"][1]["name"], "at");
    assert_eq!(
        body["rows"],
        json!([[0, "2019-01-01T00:00:00Z", "trip 0", null], [1, "2019-01-01T01:00:00Z", "trip 1", 1.5]])
    );
    assert_eq!(body["truncated"], false);
    assert!(body["elapsed_ms"].as_f64().unwrap() > 0.0);

    let headers = [("Host", run.host()), ("Accept", "application/vnd.apache.arrow.stream")];
    let body = json!({ "sql": "SELECT id FROM events ORDER BY id", "limit": 3 }).to_string();
    let answer = request(&run, "POST", "/api/sql", &headers, &body);
    assert_eq!(answer.header("x-millstream-truncated"), Some("true"));
    let ids: Vec<i64> = StreamReader::try_new(answer.body.as_slice(), None)
        .unwrap()
        .flat_map(|batch| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!(ids, [0, 1, 2]);
}

#[test]
fn refused_sql_says_where_it_is_wrong() {
    let (_pipeline, run) = archived(10, "");
    let at = |statement: &str| {
        let answer = sql(&run, statement).json();
        (answer["at"]["line"].clone(), answer["at"]["column"].clone(), answer["error"].as_str().unwrap().to_owned())
    };
    let syntax = at("SELECT id\nFORM events WHERE");
    assert_eq!(
        syntax,
        (json!(2), json!(6), "the SQL cannot be read: Expected: end of statement, found: events".to_owned())
    );
    let (line, column, text) = at("SELECT id,\n  nothing FROM events");
    assert_eq!((line, column), (json!(2), json!(3)));
    assert!(text.contains("No field named nothing"), "{text}");
    let (line, column, text) = at("SELECT 1 FROM nowhere");
    assert_eq!((line, column), (json!(1), json!(15)));
    assert!(text.contains("nowhere"), "{text}");
}

#[test]
fn a_query_whose_client_goes_away_ends() {
    let (_pipeline, mut run) = archived(2000, "");
    let host = run.host().to_owned();
    let long = "SELECT count(*) FROM events a, events b, events c WHERE a.id + b.id + c.id > 1";
    let body = json!({ "sql": long }).to_string();
    let socket = send(&run, "POST", "/api/sql", &[("Host", &host)], &body);
    let queries = || json_of(&host, "/api/queries");
    run.wait_for("the query to run", || queries().filter(|queries| queries["running"][0]["sql"] == long));
    drop(socket);
    let ended = run.wait_for("its end", || queries().filter(|queries| queries["running"] == json!([])));
    assert_eq!((&ended["ended"]["cancelled"], &ended["ended"]["timed_out"]), (&json!(1), &json!(0)), "{ended}");
    run.wait_for("its memory", || queries().filter(|queries| queries["memory_bytes"] == 0));
    let metrics = get(&run, "/metrics").text();
    for line in [
        "millstream_queries_running{pipeline=\"trips\"} 0",
        "millstream_queries_total{pipeline=\"trips\",end=\"cancelled\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn an_export_is_a_whole_file_or_an_error() {
    let (pipeline, run) = archived(3000, "[limits]\nquery_rows = 10\n");
    let export = |sql: &str, format: &str| {
        let body = json!({ "sql": sql, "format": format }).to_string();
        request(&run, "POST", "/api/sql/export", &[("Host", run.host())], &body)
    };
    let csv = export("SELECT id, name, fare FROM events ORDER BY id", "csv");
    assert_eq!((csv.status, csv.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    assert_eq!(csv.header("x-millstream-rows"), Some("3000"));
    assert!(csv.text().starts_with("id,name,fare\n0,trip 0,\n1,trip 1,1.5\n"), "{}", &csv.text()[..100]);
    assert_eq!(csv.text().lines().count(), 3001);
    let parquet = export("SELECT * FROM events", "parquet");
    assert_eq!(parquet.header("content-type"), Some("application/vnd.apache.parquet"));
    assert_eq!(&parquet.body[parquet.body.len() - 4..], b"PAR1");
    assert_eq!(export("SELECT nothing FROM events", "csv").status, 400);
    assert_eq!(export("DROP TABLE events", "csv").status, 400);
    assert_eq!(export("SELECT 1", "xlsx").status, 400);
    let too_long = export("SELECT a.id FROM events a, events b, events c", "csv");
    assert_eq!(too_long.status, 413, "{}", too_long.text());
    assert!(too_long.text().contains("narrow it with WHERE or LIMIT"), "{}", too_long.text());
    // Nothing is left of what was made.
    let names: Vec<_> =
        std::fs::read_dir(pipeline.data_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{names:?}");
}

#[test]
fn unarchived_and_archive_are_events() {
    let (_pipeline, run) = archived(10, "");
    let answer = sql(
        &run,
        "SELECT (SELECT count(*) FROM archive) + (SELECT count(*) FROM unarchived), (SELECT count(*) FROM events)",
    );
    assert_eq!(answer.json()["rows"], json!([[10, 10]]));
    let tables = get(&run, "/api/tables").json();
    let time =
        |name: &str| tables.as_array().unwrap().iter().find(|table| table["name"] == name).unwrap()["time"].clone();
    assert_eq!(
        (time("events"), time("rejects"), time("rows_per_minute")),
        (json!("at"), json!("ingested_at"), json!(null))
    );
}

#[test]
fn sql_that_writes_or_is_wrong_is_refused() {
    let (pipeline, run) = archived(10, "");
    let outside = pipeline.path("stolen.csv");
    for statement in [
        "DROP TABLE events".to_owned(),
        "INSERT INTO events SELECT * FROM events".to_owned(),
        "CREATE TABLE mine AS SELECT 1".to_owned(),
        "CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        format!("COPY (SELECT 1) TO '{}'", outside.display()),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "SELECT nothing FROM events".to_owned(),
        "SELEC 1".to_owned(),
        String::new(),
    ] {
        let answer = sql(&run, &statement);
        assert_eq!(answer.status, 400, "`{statement}`: {}", answer.text());
        assert!(!answer.json()["error"].as_str().unwrap().is_empty());
    }
    assert!(!outside.exists());
    assert_eq!(sql(&run, "SELECT count(*) FROM events").json()["rows"], json!([[10]]));
}

#[test]
fn bodies_that_are_wrong_or_too_long_are_refused() {
    let (_pipeline, run) = archived(1, "");
    let post = |body: &str| request(&run, "POST", "/api/sql", &[("Host", run.host())], body).status;
    assert_eq!(post("SELECT 1"), 400);
    assert_eq!(post("{\"sql\":\"SELECT 1\",\"unknown\":1}"), 400);
    assert_eq!(post(&format!("{{\"sql\":\"SELECT '{}'\"}}", "x".repeat(1024 * 1024))), 413);
}

#[test]
fn another_host_or_site_is_refused_everywhere() {
    let (_pipeline, run) = archived(1, "");
    let port = run.host().rsplit_once(':').unwrap().1;
    let rebound = format!("evil.example:{port}");
    let localhost = format!("localhost:{port}");
    let same_site = format!("http://{localhost}");
    for path in ["/", "/api/status", "/metrics", "/livez", "/api/stream"] {
        let answer = request(&run, "GET", path, &[("Host", &rebound)], "");
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("evil.example"), "{}", answer.text());
        assert_eq!(
            request(&run, "GET", path, &[("Host", &localhost), ("Origin", "http://evil.example")], "").status,
            403
        );
    }
    assert_eq!(request(&run, "GET", "/api/status", &[("Host", &localhost)], "").status, 200);
    let same = [("Host", localhost.as_str()), ("Origin", same_site.as_str())];
    assert_eq!(request(&run, "GET", "/api/status", &same, "").status, 200);
}

#[test]
fn a_token_guards_the_api() {
    let (pipeline, run) = archived(1, "token = \"open-sesame\"\n");
    for path in ["/api/status", "/api/ledger", "/api/stream", "/metrics"] {
        let answer = get(&run, path);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        let wrong = request(&run, "GET", path, &[("Host", run.host()), ("Authorization", "Bearer open")], "");
        assert_eq!(wrong.status, 401, "{path}");
    }
    let shown = [("Host", run.host()), ("Authorization", "Bearer open-sesame")];
    assert_eq!(request(&run, "GET", "/api/status", &shown, "").status, 200);
    assert_eq!(get(&run, "/livez").status, 200);
    // The commands find the token in `run.json`.
    let status = pipeline.call("status", &[]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(!status.stdout.contains("sesame") && !status.stderr.contains("sesame"));
}

#[test]
fn every_answer_has_the_security_headers() {
    let (_pipeline, run) = archived(1, "");
    for path in ["/", "/livez", "/api/status", "/api/nothing"] {
        let answer = get(&run, path);
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'self'"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    assert_eq!(get(&run, "/api/nothing").status, 404);
    assert_eq!(get(&run, "/nothing.js").status, 404);
    for (method, path) in [("PUT", "/api/status"), ("DELETE", "/"), ("POST", "/api/status"), ("GET", "/api/sql")] {
        let answer = request(&run, method, path, &[("Host", run.host())], "");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.json()["error"].is_string());
    }
}

/// What the build of the page makes beside its first file.
const TWIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dashboard/dist/index.html.gz");

#[test]
fn the_page_is_served_for_paths_of_its_own_or_tells_how_to_build_it() {
    let (_pipeline, run) = archived(1, "");
    for path in ["/", "/index.html", "/some/place"] {
        let answer = get(&run, path);
        if answer.status == 503 {
            assert_eq!(answer.text(), "the page was not built: run `make dashboard`\n");
        } else {
            assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-cache")), "{path}");
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(answer.header("content-encoding"), None);
            if !std::path::Path::new(TWIN).exists() {
                continue;
            }
            let headers = [("Host", run.host()), ("Accept-Encoding", "br, gzip;q=0.8")];
            let small = request(&run, "GET", path, &headers, "");
            assert_eq!(
                (small.header("content-encoding"), &small.body[..2]),
                (Some("gzip"), &[0x1f, 0x8b][..]),
                "{path}"
            );
        }
    }
}

#[test]
fn probes_and_metrics_answer() {
    let (_pipeline, run) = archived(100, "");
    assert_eq!(get(&run, "/livez").status, 200);
    assert_eq!(get(&run, "/readyz").status, 200);
    let answer = get(&run, "/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for line in [
        "millstream_source_rows_read_total{pipeline=\"trips\"} 100",
        "millstream_archive_rows{pipeline=\"trips\"} 100",
        "# TYPE millstream_archive_rows gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_stream_starts_with_everything_and_goes_on_with_what_changes() {
    let (pipeline, run) = archived(100, "");
    let first = events(&run, |events| {
        ["status", "ledger", "rows", "archive"].iter().all(|kind| events.iter().any(|(name, _)| name == kind))
    });
    let data = |kind: &str| &first.iter().find(|(name, _)| name == kind).unwrap().1;
    assert_eq!(data("status")["pipeline"], "trips");
    assert_eq!(data("ledger")["total"]["delivered"], 100);
    assert_eq!(data("rows")["rows"].as_array().unwrap().len(), 30);
    assert!(data("archive")["version"].is_u64());

    pipeline.add_file("b.parquet", 50);
    let delivered = |events: &[(String, serde_json::Value)]| {
        events.iter().any(|(name, data)| name == "ledger" && data["total"]["delivered"] == 150)
    };
    assert!(delivered(&events(&run, delivered)));
}

#[test]
fn exports_that_nobody_reads_are_bounded_and_their_place_is_free_when_the_client_goes() {
    let (_pipeline, mut run) = archived(10, "");
    let host = run.host().to_owned();
    // More than sockets hold by themselves.
    let sql = "SELECT value, value * 7 AS a, value * 11 AS b FROM generate_series(1, 1500000)";
    let export = |sql: &str| {
        let body = json!({ "sql": sql, "format": "csv" }).to_string();
        let mut socket = TcpStream::connect(&host).unwrap();
        let length = body.len();
        write!(socket, "POST /api/sql/export HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut status = [0; 12];
        socket.read_exact(&mut status).unwrap();
        (String::from_utf8_lossy(&status[9..]).into_owned(), socket)
    };
    let unread: Vec<_> = (0..4).map(|_| export(sql)).collect();
    assert!(unread.iter().all(|(status, _)| status == "200"), "{unread:?}");
    assert_eq!(export("SELECT 1").0, "429");
    drop(unread);
    run.wait_for("a place for an export", || (export("SELECT 1").0 == "200").then_some(()));
}
