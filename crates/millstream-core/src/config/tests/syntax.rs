use insta::assert_snapshot;

use super::*;

#[test]
fn every_mistake_against_toml_is_told() {
    assert_snapshot!(errors_of("[pipeline]\nname = taxi\n[source]\npath = \"a\"\npath = \"b\"\n"), @r#"
    pipeline.toml:2:8: invalid boolean, expected `true`; a text stands in quotes
      |
    2 | name = taxi
      |        ^^^^

    pipeline.toml:5:1: `path` is there twice; take one out or rename it
      |
    5 | path = "b"
      | ^^^^
    "#);
}

#[test]
fn a_table_that_is_there_twice_is_a_mistake() {
    assert_snapshot!(errors_after_least("[clean.rules]\na = 1\n[clean.rules]\n"), @r#"
    pipeline.toml:7:8: `rules` is there twice; take one out or rename it
      |
    7 | [clean.rules]
      |        ^^^^^
    "#);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "
[pipeline]
nam = \"taxi\"
[source]
path = 7
wach = true
[stream]
partitions = 0
[clean.rules]
fare = { column = \"fare_amount\", check = { range = { min = 0 } }, action = \"rejct\" }
";
    assert_snapshot!(errors_of(text), @r#"
    pipeline.toml:2:1: pipeline.name: missing, and needed; allowed: letters, digits, `_` and `-`
      |
    2 | [pipeline]
      | ^^^^^^^^^^

    pipeline.toml:3:1: pipeline.nam: unknown key; did you mean `name`? allowed: name, data_dir, drain_deadline
      |
    3 | nam = "taxi"
      | ^^^

    pipeline.toml:5:8: source.path: this is neither a text nor a list; allowed: a file, glob or directory, or a list of them
      |
    5 | path = 7
      |        ^

    pipeline.toml:6:1: source.wach: unknown key; did you mean `watch`? allowed: path, event_time, parallel_splits, recursive, watch, pace, list_interval, settle
      |
    6 | wach = true
      | ^^^^

    pipeline.toml:8:14: stream.partitions: out of range; allowed: a whole number, 1 to 1024
      |
    8 | partitions = 0
      |              ^

    pipeline.toml:10:76: clean.rules.fare.action: unknown action `rejct`; allowed: reject, nullify, clamp, warn, fail
       |
    10 | fare = { column = "fare_amount", check = { range = { min = 0 } }, action = "rejct" }
       |                                                                            ^^^^^^^
    "#);
}

#[test]
fn what_is_missing_from_the_whole_file_has_no_source_line() {
    assert_snapshot!(errors_of(""), @r#"
    pipeline.toml:1:1: pipeline.name: missing, and needed; allowed: letters, digits, `_` and `-`
    pipeline.toml:1:1: source.path: missing, and needed; allowed: a file, glob or directory, or a list of them
    "#);
}

#[test]
fn what_is_missing_from_a_table_points_at_its_head() {
    assert_snapshot!(errors_of("[pipeline]\n[source]\n"), @r#"
    pipeline.toml:1:1: pipeline.name: missing, and needed; allowed: letters, digits, `_` and `-`
      |
    1 | [pipeline]
      | ^^^^^^^^^^

    pipeline.toml:2:1: source.path: missing, and needed; allowed: a file, glob or directory, or a list of them
      |
    2 | [source]
      | ^^^^^^^^
    "#);
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert_snapshot!(errors_after_least("[stream]\npartitons = 2\n[quelle]\n[achive]\n"), @r#"
    pipeline.toml:6:1: stream.partitons: unknown key; did you mean `partitions`? allowed: topic, format, key, retention_bytes, kafka, batch_bytes, flush_bytes, partitions, flush_interval, batch_rows, max_record_bytes, retention
      |
    6 | partitons = 2
      | ^^^^^^^^^

    pipeline.toml:7:2: quelle: unknown key; allowed: pipeline, source, clean, stream, table, archive, view, limits, server
      |
    7 | [quelle]
      |  ^^^^^^

    pipeline.toml:8:2: achive: unknown key; did you mean `archive`? allowed: pipeline, source, clean, stream, table, archive, view, limits, server
      |
    8 | [achive]
      |  ^^^^^^
    "#);
}

#[test]
fn columns_count_characters_and_the_caret_stands_below_them() {
    assert_snapshot!(errors_after_least("\tserver = { \"é\" = \"日本\", http = \"x\" }\n"), @r#"
    pipeline.toml:5:2: source.server: unknown key; allowed: path, event_time, parallel_splits, recursive, watch, pace, list_interval, settle
      |
    5 |  server = { "é" = "日本", http = "x" }
      |  ^^^^^^
    "#);
}

#[test]
fn lines_that_end_as_on_windows_are_printed_clean() {
    assert_snapshot!(errors_of("[pipeline]\r\nname = \"a b\"\r\n[source]\r\npath = \"a\"\r\n"), @r#"
    pipeline.toml:2:8: pipeline.name: `a b` is not a name; allowed: 1 to 100 letters (a-z, A-Z), digits, `_`, `-`
      |
    2 | name = "a b"
      |        ^^^^^
    "#);
}

#[test]
fn line_and_column_are_there_for_programs_too() {
    let errors = Config::parse("[pipeline]\nname = 1\n", Path::new("p.toml"), &environment).unwrap_err();
    let places: Vec<_> = errors.errors.iter().map(|error| (error.line, error.column, error.key.as_str())).collect();
    assert_eq!(places, [(1, 1, "source.path"), (2, 8, "pipeline.name")]);
}
