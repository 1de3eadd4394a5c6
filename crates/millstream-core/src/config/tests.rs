//! The pipeline file as a user meets it: what parses, and what every mistake looks like.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod clean;
mod contradictions;
mod documented;
mod kafka;
mod secrets;
mod sections;
mod syntax;

use std::path::Path;

use super::{Config, Outside};

/// The least that a pipeline file needs; four lines.
const LEAST: &str = "[pipeline]\nname = \"taxi\"\n[source]\npath = \"data/*.parquet\"\n";

fn environment(name: &str) -> Option<String> {
    match name {
        "HOME_DIR" => Some("/home/ada".to_owned()),
        "PAGE_TOKEN" => Some("hunter2-from-the-environment".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Config {
    match Config::parse(text, Path::new("/pipelines/taxi/pipeline.toml"), &environment) {
        Ok(config) => config,
        Err(errors) => panic!("{errors}"),
    }
}

/// What is printed for a whole file, where there are no users.
fn errors_of(text: &str) -> String {
    let outside = Outside { view_problem: &|_| None, has_users: &|_| false };
    match Config::parse_with(text, Path::new("pipeline.toml"), &environment, &outside) {
        Ok(config) => panic!("no mistake found: {config:?}"),
        Err(errors) => errors.to_string(),
    }
}

/// What is printed for the least file and what follows it, from line 5.
fn errors_after_least(text: &str) -> String {
    errors_of(&format!("{LEAST}{text}"))
}

/// What is printed for `[clean]` tables, with an event time so that windows have one.
fn errors_in_clean(text: &str) -> String {
    errors_of(&format!("{LEAST}event_time = \"pickup\"\n{text}"))
}

/// What is printed for the least file with one broker and what follows it, from line 7.
fn errors_after_brokers(text: &str) -> String {
    errors_after_least(&format!("[stream.kafka]\nbrokers = \"localhost:9092\"\n{text}"))
}
