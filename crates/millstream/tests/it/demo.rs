//! The demo: the example out of the program, in a folder of its own.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::Run;
use crate::wire::get;

fn start(folder: &Path, port: u16) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    let arguments = ["demo", "--no-browser", "--dir", "demo", "--port", &port.to_string()];
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    Run::start(&mut command, &folder.join("demo/millstream-data"), folder.join("stderr.txt"))
}

fn rows_read(run: &Run) -> u64 {
    get(run, "/api/status").json()["source"]["rows_read"].as_u64().unwrap()
}

#[test]
fn a_demo_takes_the_next_free_port_and_a_second_one_goes_on_where_it_ended() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();

    let mut run = start(folder.path(), port);
    assert_ne!(run.host(), format!("127.0.0.1:{port}"));
    let url = run.url.clone();
    assert_eq!(get(&run, "/api/status").json()["pipeline"], "taxi");
    let host = run.host().to_owned();
    run.wait_for("rows read", || {
        crate::wire::status(&host).filter(|status| status["source"]["rows_read"].as_u64() > Some(0))
    });
    run.signal("INT");
    let (status, log) = run.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains(&format!("open   {url}")), "{log}");

    let run = start(folder.path(), port);
    assert!(rows_read(&run) > 0, "it starts where the first one ended");
    run.signal("TERM");
    let (status, log) = run.end();
    assert!(status.success() && log.contains("going on in `demo`"), "{log}");
}

#[test]
fn a_demo_with_an_address_where_no_kafka_is_leaves_no_folder_behind() {
    let folder = TempDir::new().unwrap();
    for (address, said) in [("127.0.0.1:1", "nobody answers at `127.0.0.1:1`"), ("localhost", "has no port")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
        command.args(["demo", "--no-browser", "--dir", "demo", "--kafka", address]).current_dir(folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{log}");
        assert!(log.contains(said), "{log}");
        assert!(!folder.path().join("demo").exists(), "{log}");
    }
}
