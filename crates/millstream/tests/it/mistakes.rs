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
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @r#"
    error: [FOLDER]/pipeline.toml:3:1: source.path: missing, and needed; allowed: a file, glob or directory, or a list of them
      |
    3 | [source]
      | ^^^^^^^^

    [FOLDER]/pipeline.toml:4:1: source.paht: unknown key; did you mean `path`? allowed: path, event_time, parallel_splits, recursive, watch, pace, list_interval, settle
      |
    4 | paht = "data/*.parquet"
      | ^^^^
    "#);
}

#[test]
fn a_wrong_type_is_told_with_what_is_allowed() {
    let pipeline = with("");
    pipeline.replace("event_time = \"at\"", "event_time = \"at\"\nrecursive = \"yes\"\nsettle = 5");
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @r#"
    error: [FOLDER]/pipeline.toml:6:13: source.recursive: this is a text; allowed: true, false
      |
    6 | recursive = "yes"
      |             ^^^^^

    [FOLDER]/pipeline.toml:7:10: source.settle: this is a whole number; allowed: a whole number and a unit (ms, s, m, h, d), such as "10s", 0s to 1h
      |
    7 | settle = 5
      |          ^
    "#);
}

#[test]
fn contradictions_name_both_settings() {
    let rule = "[clean.columns]\nname = { type = \"string\" }\n[clean.rules]\n\
                r = { column = \"name\", check = { range = { min = 0 } }, action = \"clamp\" }\n\
                [clean.dedup]\nkey = [\"id\"]\nwithin = \"5 days\"\n";
    insta::assert_snapshot!(checked(rule), @r#"
    error: [FOLDER]/pipeline.toml:16:32: clean.rules.r.check: the check does not go with the `type` of `name` in `clean.columns` or `clean.derive`; change one of them
       |
    16 | r = { column = "name", check = { range = { min = 0 } }, action = "clamp" }
       |                                ^^^^^^^^^^^^^^^^^^^^^^^

    [FOLDER]/pipeline.toml:19:10: clean.dedup.within: `5 days` is not a reach of dedup; allowed: "file", "source", or a duration of event time such as "45d"
       |
    19 | within = "5 days"
       |          ^^^^^^^^
    "#);
}

#[test]
fn a_column_that_no_file_has_is_named() {
    let rule = "[clean.rules]\nr = { column = \"fair\", check = \"not_null\", action = \"warn\" }\n";
    insta::assert_snapshot!(checked(rule), @r#"
    error: 1 file would be quarantined or stop a run
    [FOLDER]/pipeline.toml:14:5: clean.rules.r: column `fair` is not there; did you mean `fare`?
       |
    14 | r = { column = "fair", check = "not_null", action = "warn" }
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn sql_that_is_wrong_is_pointed_at_with_the_other_mistakes() {
    let more = "unknown = 1\n[clean.rules]\n\
                a = { check = { sql = \"fare > \" }, action = \"warn\" }\n\
                b = { check = { sql = \"median(fare) > 1\" }, action = \"warn\" }\n\
                [clean.filter]\nkeep = \"id >< 3\"\n\
                [[view]]\nname = \"v\"\nsql = \"\"\"\nSELECT count(*)\nFORM events\n\"\"\"\n";
    insta::assert_snapshot!(checked(more), @r#"
    error: [FOLDER]/pipeline.toml:13:1: server.unknown: unknown key; allowed: http, token, users
       |
    13 | unknown = 1
       | ^^^^^^^

    [FOLDER]/pipeline.toml:15:30: clean.rules.a.check: `fare > ` is not read as an SQL expression: Expected: an expression, found: EOF
       |
    15 | a = { check = { sql = "fare > " }, action = "warn" }
       |                              ^

    [FOLDER]/pipeline.toml:16:24: clean.rules.b.check: function `median` is not in the list that all engines compute alike: abs, char_length, coalesce, concat_ws, date_trunc, day, extract, hour, length, lower, lpad, ltrim, minute, month, nullif, regexp_like, replace, rpad, rtrim, split_part, trim, upper, year
       |
    16 | b = { check = { sql = "median(fare) > 1" }, action = "warn" }
       |                        ^^^^^^

    [FOLDER]/pipeline.toml:18:13: clean.filter.keep: `id >< 3` is not read as an SQL expression: Expected: an expression, found: <
       |
    18 | keep = "id >< 3"
       |             ^

    [FOLDER]/pipeline.toml:23:6: view[0].sql: Expected: end of statement, found: events
       |
    23 | FORM events
       |      ^^^^^^
    "#);
}

#[test]
fn a_view_over_what_is_not_there_is_pointed_at() {
    let more = "[[view]]\nname = \"good\"\nsql = \"SELECT id FROM events\"\n\
                [[view]]\nname = \"column\"\nsql = \"SELECT id, fair FROM events\"\n\
                [[view]]\nname = \"table\"\nsql = \"SELECT id FROM event\"\n\
                [[view]]\nname = \"chart\"\nsql = \"SELECT id, at FROM good JOIN live USING (id)\"\n\
                chart = { kind = \"line\", x = \"at\", y = \"fare\" }\n\
                [[view]]\nname = \"writes\"\nsql = \"DROP TABLE events\"\n";
    insta::assert_snapshot!(checked(more), @r#"
    error: [FOLDER]/pipeline.toml:18:19: view[1].sql: No field named fair. Did you mean 'events.fare'? Valid fields are events.id, events.at, events.name, events.fare, events._file, events._row, events._marks, events.ingested_at
       |
    18 | sql = "SELECT id, fair FROM events"
       |                   ^^^^

    [FOLDER]/pipeline.toml:21:23: view[2].sql: table 'event' not found
       |
    21 | sql = "SELECT id FROM event"
       |                       ^^^^^

    [FOLDER]/pipeline.toml:25:40: view[3].chart.y: the view has no column `fare`; it has: id, at
       |
    25 | chart = { kind = "line", x = "at", y = "fare" }
       |                                        ^^^^^^

    [FOLDER]/pipeline.toml:28:7: view[4].sql: DDL not supported: DropTable
       |
    28 | sql = "DROP TABLE events"
       |       ^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let pipeline = Pipeline::new("");
    pipeline.replace("data/*.parquet", "nowhere/*.parquet");
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @r#"
    error: nothing matches `source.path` = `nowhere/*.parquet`; correct it, or set `watch = true` to wait for files
    "#);
    // The log before the message has times in it.
    let run = refused(pipeline.call("run", &["--until-done"]));
    insta::assert_snapshot!(run.lines().last().unwrap(), @r#"
    error: nothing matches `source.path` = `nowhere/*.parquet`; correct it, or set `watch = true` to wait for files
    "#);
}

#[test]
fn a_bad_glob_and_a_bad_duration_are_told_at_their_place() {
    let pipeline = with("");
    pipeline.replace("data/*.parquet", "data/[a.parquet");
    // Where in the pattern it is wrong counts from the root of the file system.
    pipeline.call("check", &[]).assert_refused(&["`source.path` has `data/[a.parquet`, which is no valid pattern"]);
    insta::assert_snapshot!(checked("[table]\nretention = \"1 week\"\n"), @r#"
    error: [FOLDER]/pipeline.toml:14:13: table.retention: `1 week` is not a duration; allowed: a whole number and a unit (ms, s, m, h, d), such as "10s", 0s to 3650d
       |
    14 | retention = "1 week"
       |             ^^^^^^^^
    "#);
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let pipeline = with("");
    pipeline.replace("127.0.0.1:0", &address);
    let stderr = refused(pipeline.call("run", &["--until-done"]));
    insta::assert_snapshot!(stderr.replace(&address, "[ADDRESS]"), @r#"
    error: cannot listen on `[ADDRESS]` (`server.http`; port 0 takes any free one): Address already in use (os error 98)
    "#);
}

#[test]
fn two_pipelines_on_one_folder_are_kept_apart() {
    let pipeline = with("");
    assert_eq!(pipeline.call("run", &["--until-done"]).code, 0);
    pipeline.replace("name = \"trips\"", "name = \"other\"");
    insta::assert_snapshot!(refused(pipeline.call("run", &["--until-done"])), @r#"
    error: the data folder `[FOLDER]/millstream-data` belongs to the pipeline `trips`, not to `other`: set `pipeline.data_dir` to another folder, or name the pipeline `trips` again, or remove the data with `millstream reset` of `trips`
    "#);
}

#[test]
fn a_pipeline_file_that_cannot_be_read_is_named() {
    let pipeline = with("");
    std::fs::remove_file(pipeline.file()).unwrap();
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @r#"
    error: reading the pipeline file `[FOLDER]/pipeline.toml`: No such file or directory (os error 2)
    "#);
    pipeline.write("[pipeline]\nname = trips\n");
    insta::assert_snapshot!(refused(pipeline.call("check", &[])), @r#"
    error: [FOLDER]/pipeline.toml:2:8: invalid boolean, expected `true`; a text stands in quotes
      |
    2 | name = trips
      |        ^^^^^
    "#);
}

#[test]
fn a_broken_file_among_good_ones_is_named_by_check() {
    let pipeline = with("");
    std::fs::write(pipeline.path("data/b.parquet"), "this is no Parquet file").unwrap();
    let called = pipeline.call("check", &[]);
    assert_eq!(called.code, 2, "{called:?}");
    assert!(called.stdout.contains("data/b.parquet\n                             ! "), "{}", called.stdout);
    insta::assert_snapshot!(called.stderr, @r#"
    error: 1 file would be quarantined or stop a run
    "#);
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
