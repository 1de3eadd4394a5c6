//! Users, sessions, roles and tokens as people, scripts and other sites meet them.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::program::{Called, Pipeline, Run};
use crate::wire::{Answer, get, head_of, request, send};

const PASSWORD: &str = "correct horse battery";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// `millstream user …` on a pipeline, with this on its standard input.
fn user(pipeline: &Pipeline, arguments: &[&str], input: &str) -> Called {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.arg("user").args(arguments).current_dir(pipeline.path("."));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who refuses at once does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Called::of(&child.wait_with_output().unwrap(), pipeline.file().parent().unwrap())
}

fn add(pipeline: &Pipeline, name: &str, role: &str) {
    let added = user(pipeline, &["add", name, "--role", role, "--password-stdin"], &format!("{PASSWORD}\n"));
    assert_eq!(added.code, 0, "{added:?}");
}

/// A pipeline that runs, with an operator `ada` and a viewer `bob`.
fn with_users() -> (Pipeline, Run) {
    let pipeline = Pipeline::with_source("watch = true", "");
    pipeline.add_file("a.parquet", 10);
    add(&pipeline, "ada", "operator");
    add(&pipeline, "bob", "viewer");
    let run = pipeline.start();
    (pipeline, run)
}

fn log_in(run: &Run, name: &str, password: &str) -> Answer {
    let body = json!({ "name": name, "password": password }).to_string();
    request(run, "POST", "/api/login", &[("Host", run.host()), JSON], &body)
}

/// What a browser sends back.
fn session(run: &Run, name: &str) -> String {
    let answer = log_in(run, name, PASSWORD);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn get_with(run: &Run, path: &str, header: (&str, &str)) -> Answer {
    request(run, "GET", path, &[("Host", run.host()), header], "")
}

fn status_with(run: &Run, cookie: &str) -> u16 {
    get_with(run, "/api/status", ("Cookie", cookie)).status
}

#[test]
fn with_users_nothing_is_told_before_somebody_logs_in() {
    let (pipeline, run) = with_users();
    for path in ["/api/status", "/api/ledger", "/api/stream", "/api/queries", "/api/row?file=a&row=0", "/metrics"] {
        assert_eq!(get(&run, path).status, 401, "{path}");
    }
    assert_eq!(get(&run, "/api/me").json(), json!({ "name": null, "role": null, "login": "password" }));
    assert_eq!(get(&run, "/livez").status, 200);
    let answer = log_in(&run, "ada", PASSWORD);
    assert_eq!(answer.json(), json!({ "name": "ada", "role": "operator", "login": "password" }));
    let cookie = answer.header("set-cookie").unwrap();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.split("; ").any(|found| found == attribute), "{attribute}: {cookie}");
    }
    assert!(!cookie.contains("Secure"), "this came without TLS: {cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(status_with(&run, cookie), 200);
    assert_eq!(get_with(&run, "/api/me", ("Cookie", cookie)).json()["name"], "ada");
    assert_eq!(status_with(&run, &format!("{cookie}x")), 401);
    // The commands of this machine find the way in `run.json`.
    for command in ["status", "sql"] {
        let arguments: &[&str] = if command == "sql" { &["SELECT count(*) FROM events"] } else { &[] };
        let called = pipeline.call(command, arguments);
        assert_eq!(called.code, 0, "{called:?}");
    }
    let out = request(&run, "POST", "/api/logout", &[("Host", run.host()), ("Cookie", cookie), JSON], "");
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
}

#[test]
fn a_browser_that_speaks_tls_to_a_proxy_gets_a_cookie_for_tls_only() {
    let (_pipeline, run) = with_users();
    let body = json!({ "name": "ada", "password": PASSWORD }).to_string();
    let by_browser = [("Host", "mill.example"), ("Origin", "https://mill.example"), JSON];
    let by_proxy = [("Host", run.host()), ("X-Forwarded-Proto", "https"), JSON];
    for headers in [&by_browser, &by_proxy] {
        let answer = request(&run, "POST", "/api/login", headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("set-cookie").unwrap().split("; ").any(|found| found == "Secure"));
    }
}

#[test]
fn a_viewer_reads_and_an_operator_also_changes() {
    let (pipeline, mut run) = with_users();
    let counted = || pipeline.call("sql", &["--json", "SELECT count(*) AS rows FROM events"]);
    run.wait_for("its rows", || counted().stdout.contains("10").then_some(()));
    let (ada, bob) = (session(&run, "ada"), session(&run, "bob"));
    let post = |path: &str, cookie: &str, body: &Value| {
        request(&run, "POST", path, &[("Host", run.host()), ("Cookie", cookie), JSON], &body.to_string())
    };
    for cookie in [&ada, &bob] {
        let sql = json!({ "sql": "SELECT count(*) FROM events" });
        assert_eq!(post("/api/sql", cookie, &sql).json()["rows"], json!([[10]]));
        let export = json!({ "sql": "SELECT id FROM events", "format": "csv" });
        assert_eq!(post("/api/sql/export", cookie, &export).text().lines().count(), 11);
        assert_eq!(get_with(&run, "/metrics", ("Cookie", cookie)).status, 200);
    }
    let retry = json!({ "files": ["data/nothing.parquet"], "keep_published": false });
    let refused = post("/api/retry", &bob, &retry);
    assert_eq!(refused.status, 403);
    let text = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(text.contains("`operator`") && text.contains("`viewer`"), "{text}");
    assert_eq!(post("/api/retry", &ada, &retry).status, 200);
}

#[test]
fn what_another_site_could_make_a_browser_send_is_refused() {
    let (_pipeline, run) = with_users();
    let ada = session(&run, "ada");
    let host = ("Host", run.host());
    let cookie = ("Cookie", ada.as_str());
    let sql = json!({ "sql": "SELECT 1" }).to_string();
    let form = ("Content-Type", "text/plain");
    assert_eq!(request(&run, "POST", "/api/sql", &[host, cookie, form], &sql).status, 415);
    assert_eq!(request(&run, "POST", "/api/sql", &[host, cookie], &sql).status, 415);
    assert_eq!(
        request(&run, "POST", "/api/sql", &[host, cookie, JSON, ("Origin", "http://evil.example")], &sql).status,
        403
    );
    for site in ["cross-site", "same-site"] {
        for path in ["/api/status", "/api/profile", "/api/archive", "/api/row", "/metrics"] {
            assert_eq!(request(&run, "GET", path, &[host, cookie, ("Sec-Fetch-Site", site)], "").status, 403, "{path}");
        }
    }
    // A login that another site begins would make its data look like one's own.
    let body = json!({ "name": "bob", "password": PASSWORD }).to_string();
    assert_eq!(request(&run, "POST", "/api/login", &[host, form], &body).status, 415);
    assert_eq!(request(&run, "POST", "/api/login", &[host, JSON, ("Sec-Fetch-Site", "cross-site")], &body).status, 403);
}

#[test]
fn wrong_logins_are_refused_alike_and_then_have_to_wait() {
    let (pipeline, run) = with_users();
    let wrong = [log_in(&run, "ada", "wrong"), log_in(&run, "nobody", PASSWORD), log_in(&run, "ada", "")];
    for answer in &wrong {
        assert_eq!((answer.status, answer.json()), (401, json!({ "error": "name or password is wrong" })));
        assert_eq!(answer.header("set-cookie"), None);
    }
    let malformed =
        request(&run, "POST", "/api/login", &[("Host", run.host()), JSON], "{\"password\":\"hunter2hunter2\"");
    assert_eq!(malformed.status, 400);
    assert!(!malformed.text().contains("hunter2"), "{}", malformed.text());
    let mut answer = log_in(&run, "ada", "wrong");
    while answer.status == 401 {
        answer = log_in(&run, "ada", "wrong");
    }
    assert_eq!(answer.status, 429, "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(answer.json()["error"].as_str().unwrap().contains(&format!("try again in {seconds} s")));
    // The right password has to wait, too; those who are in do not.
    assert_eq!(log_in(&run, "ada", PASSWORD).status, 429);
    assert_eq!(pipeline.call("status", &[]).code, 0);
    let log = std::fs::read_to_string(pipeline.path("stderr.txt")).unwrap();
    assert!(log.contains("a login failed") && !log.contains(PASSWORD), "{log}");
}

#[test]
fn changes_of_users_hold_at_once() {
    let (pipeline, mut run) = with_users();
    let (ada, bob) = (session(&run, "ada"), session(&run, "bob"));
    let mut stream = send(&run, "GET", "/api/stream", &[("Host", run.host()), ("Cookie", &bob)], "");
    assert_eq!(head_of(&mut stream).0, 200);
    let removed = user(&pipeline, &["remove", "bob"], "");
    assert_eq!(removed.stdout, "`bob` is out: their sessions and tokens have ended\n", "{removed:?}");
    assert_eq!(status_with(&run, &bob), 401);
    assert_eq!(log_in(&run, "bob", PASSWORD).status, 401);
    // The stream that they had open ends.
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest).unwrap();

    user(&pipeline, &["role", "ada", "viewer"], "");
    assert_eq!(get_with(&run, "/api/me", ("Cookie", &ada)).json()["role"], "viewer");
    let changed = user(&pipeline, &["password", "ada", "--password-stdin"], "another long password");
    assert_eq!(changed.code, 0, "{changed:?}");
    assert_eq!(status_with(&run, &ada), 401);
    assert_eq!(log_in(&run, "ada", "another long password").status, 200);
    // The last user that goes leaves the door shut.
    assert!(user(&pipeline, &["remove", "ada"], "").stderr.contains("nobody is left"));
    assert_eq!(get(&run, "/api/status").status, 401);
    run.wait_for("the commands of this machine", || (pipeline.call("status", &[]).code == 0).then_some(()));
}

#[test]
fn sessions_outlive_a_restart_but_not_their_key() {
    let (pipeline, run) = with_users();
    let ada = session(&run, "ada");
    run.signal("INT");
    assert!(run.end().0.success());
    let run = pipeline.start();
    assert_eq!(status_with(&run, &ada), 200);
    std::fs::remove_file(pipeline.data_dir().join("session.key")).unwrap();
    assert_eq!(status_with(&run, &ada), 401);
    let again = session(&run, "ada");
    assert_eq!((status_with(&run, &again), status_with(&run, &ada)), (200, 401));
    // `reset` starts the data over, not the users.
    run.signal("INT");
    assert!(run.end().0.success());
    assert_eq!(pipeline.call("reset", &["--archive", "--yes"]).code, 0);
    assert!(user(&pipeline, &["list"], "").stdout.contains("ada  operator"));
}

#[test]
fn a_token_of_a_user_may_do_what_the_user_may() {
    let (pipeline, run) = with_users();
    let made = user(&pipeline, &["token", "bob", "--label", "reports"], "");
    assert_eq!(made.code, 0, "{made:?}");
    let shown = format!("Bearer {}", made.stdout.trim());
    let asked = get_with(&run, "/api/me", ("Authorization", &shown));
    assert_eq!(asked.json(), json!({ "name": "bob", "role": "viewer", "login": "token" }));
    let retry =
        request(&run, "POST", "/api/retry", &[("Host", run.host()), ("Authorization", &shown)], "{\"files\":[]}");
    assert_eq!(retry.status, 403);
    let listed: Value = serde_json::from_str(&user(&pipeline, &["list", "--json"], "").stdout).unwrap();
    assert_eq!(listed[1]["tokens"][0]["label"], "reports", "{listed}");
    let id = listed[1]["tokens"][0]["id"].as_str().unwrap();
    assert_eq!(user(&pipeline, &["revoke", id], "").code, 0);
    assert_eq!(get_with(&run, "/api/status", ("Authorization", &shown)).status, 401);
}

#[test]
fn another_address_than_loopback_wants_somebody_who_may_log_in() {
    let pipeline = Pipeline::with_source("watch = true", "");
    pipeline.replace("127.0.0.1:0", "0.0.0.0:0");
    let refused = pipeline.call("run", &[]);
    refused
        .assert_refused(&["server.http: `server.http` is reachable from other machines", "millstream user add NAME"]);
    add(&pipeline, "ada", "operator");
    let run = pipeline.start();
    assert_eq!(get(&run, "/api/status").status, 401);
    assert_eq!(status_with(&run, &session(&run, "ada")), 200);
    assert_eq!(pipeline.call("status", &[]).code, 0);
    std::fs::write(pipeline.data_dir().join("users.json"), "{}").unwrap();
    assert_eq!(get(&run, "/api/status").status, 503);
    drop(run);
    pipeline.call("run", &[]).assert_refused(&["users.json` is no file of users", "millstream user add"]);
}

#[test]
fn commands_of_users_say_what_they_cannot_do() {
    let pipeline = Pipeline::new("");
    assert!(user(&pipeline, &["list"], "").stdout.starts_with("no users in `[FOLDER]/millstream-data/users.json`"));
    let ada = |input: &str| user(&pipeline, &["add", "ada", "--role", "viewer", "--password-stdin"], input);
    ada("short\n").assert_refused(&["the password is too short; it takes 12 letters at least"]);
    let asked = user(&pipeline, &["add", "ada", "--role", "viewer"], "");
    asked.assert_refused(&["nobody to ask for a password", "--password-stdin"]);
    assert!(ada("correct horse battery\n").stderr.contains("are for those who log in, also on this machine"));
    ada("correct horse battery\n").assert_refused(&["there is a user `ada`", "millstream user password"]);
    user(&pipeline, &["remove", "bob"], "").assert_refused(&["there is no user `bob`; there are: `ada`"]);
    user(&pipeline, &["revoke", "00"], "").assert_refused(&["no user has a token `00`"]);
    user(&pipeline, &["token", "ada", "--label", ""], "").assert_refused(&["a label is one line"]);
    user(&pipeline, &["list", "nowhere.toml"], "").assert_refused(&["nowhere.toml"]);
    assert_eq!(user(&pipeline, &["list"], "").stdout.lines().count(), 1);
}
