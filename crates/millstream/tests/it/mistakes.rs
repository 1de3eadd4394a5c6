//! What the program says of mistakes: one clear message each, with file and line where there is one, and the exit code.

use crate::program::{Called, Pipeline};

/// A pipeline file over one good file, with `more` behind it.
fn with(more: &str) -> Pipeline {
    let pipeline = Pipeline::new(more);
    pipeline.add_file("a.parquet", 10);
    pipeline
}

/// The message of a refusal.
fn refused(called: Called) -> String {
    assert_eq!(called.code, 2, "{called:?}");
    called.stderr
}

fn checked(more: &str) -> String {
    refused(with(more).call("check", &[]))
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    let pipeline = with("");
    pipeline.replace("path =", "paht =");
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @"");
}

#[test]
fn a_wrong_type_is_told_with_what_is_allowed() {
    let pipeline = with("");
    pipeline.replace("event_time = \"at\"", "event_time = \"at\"\nrecursive = \"yes\"\nsettle = 5");
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @"");
}

#[test]
fn contradictions_name_both_settings() {
    let rule = "[clean.columns]\nname = { type = \"string\" }\n[clean.rules]\n\
                r = { column = \"name\", check = { range = { min = 0 } }, action = \"clamp\" }\n\
                [clean.dedup]\nkey = [\"id\"]\nwithin = \"5 days\"\n";
    insta::assert_snapshot!(checked(rule), @"");
}

#[test]
fn a_column_that_no_file_has_is_named() {
    let rule = "[clean.rules]\nr = { column = \"fair\", check = \"not_null\", action = \"warn\" }\n";
    let called = with(rule).call("check", &[]);
    assert_eq!(called.code, 2, "{called:?}");
    insta::assert_snapshot!(called.stdout + &called.stderr, @"");
}

#[test]
fn sql_that_is_wrong_is_pointed_at_with_the_other_mistakes() {
    let more = "unknown = 1\n[clean.rules]\n\
                a = { check = { sql = \"fare > \" }, action = \"warn\" }\n\
                b = { check = { sql = \"median(fare) > 1\" }, action = \"warn\" }\n\
                [clean.filter]\nkeep = \"id >< 3\"\n\
                [[view]]\nname = \"v\"\nsql = \"\"\"\nSELECT count(*)\nFORM events\n\"\"\"\n";
    insta::assert_snapshot!(checked(more), @"");
}

#[test]
fn a_view_over_what_is_not_there_is_pointed_at() {
    let more = "[[view]]\nname = \"good\"\nsql = \"SELECT id FROM events\"\n\
                [[view]]\nname = \"column\"\nsql = \"SELECT id, fair FROM events\"\n\
                [[view]]\nname = \"table\"\nsql = \"SELECT id FROM event\"\n\
                [[view]]\nname = \"chart\"\nsql = \"SELECT id, at FROM good JOIN live USING (id)\"\n\
                chart = { kind = \"line\", x = \"at\", y = \"fare\" }\n\
                [[view]]\nname = \"writes\"\nsql = \"DROP TABLE events\"\n";
    insta::assert_snapshot!(checked(more), @"");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let pipeline = Pipeline::new("");
    pipeline.replace("data/*.parquet", "nowhere/*.parquet");
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @"");
    insta::assert_snapshot!(refused(pipeline.call("run", &["--until-done"])), @"");
}

#[test]
fn a_bad_glob_and_a_bad_duration_are_told_at_their_place() {
    let pipeline = with("");
    pipeline.replace("data/*.parquet", "data/[a.parquet");
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @"");
    insta::assert_snapshot!(checked("[table]\nretention = \"1 week\"\n"), @"");
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let pipeline = with("");
    pipeline.replace("127.0.0.1:0", &address);
    let stderr = refused(pipeline.call("run", &["--until-done"]));
    insta::assert_snapshot!(stderr.replace(&address, "[ADDRESS]"), @"");
}

#[test]
fn two_pipelines_on_one_folder_are_kept_apart() {
    let pipeline = with("");
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    pipeline.replace("name = \"trips\"", "name = \"other\"");
    insta::assert_snapshot!(refused(pipeline.call("run", &["--until-done"])), @"");
}

#[test]
fn a_pipeline_file_that_cannot_be_read_is_named() {
    let pipeline = with("");
    std::fs::remove_file(pipeline.file()).unwrap();
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @"");
    pipeline.write("[pipeline]\nname = trips\n");
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @"");
}

#[test]
fn a_broken_file_among_good_ones_is_named_by_check() {
    let pipeline = with("");
    std::fs::write(pipeline.path("data/b.parquet"), "this is no Parquet file").unwrap();
    let called = pipeline.call("check", &[]);
    assert_eq!(called.code, 2, "{called:?}");
    assert!(called.stdout.contains("data/b.parquet\n                             ! "), "{}", called.stdout);
    insta::assert_snapshot!(called.stderr, @"");
}

#[test]
fn exit_codes_are_what_the_documentation_says() {
    let pipeline = with("[clean.rules]\nr = { column = \"id\", check = { range = { max = 5 } }, action = \"fail\" }\n");
    let check = pipeline.call("check", &[]);
    assert!(check.code == 2 && check.stderr.contains("rule `r` would stop a run: `data/a.parquet` row 6"), "{check:?}");
    // A rule with the action `fail` is a failure, not a refusal.
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 1);
    pipeline.replace("\"fail\"", "\"warn\"");
    assert_eq!(pipeline.call("check", &[]).code, 0);
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    assert_eq!(pipeline.call("run", &["--nonsense"]).code, 2);
}
