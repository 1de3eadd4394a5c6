use insta::assert_snapshot;

use super::*;
use crate::config::SparkMode;

#[test]
fn names_take_letters_digits_and_few_others() {
    let text = "[pipeline]\nname = \"my taxi\"\n[source]\npath = \"a\"\n[stream]\ntopic = \"\"\n";
    assert_snapshot!(errors_of(text), @r#"
    pipeline.toml:2:8: pipeline.name: `my taxi` is not a name; allowed: 1 to 100 letters (a-z, A-Z), digits, `_`, `-`
      |
    2 | name = "my taxi"
      |        ^^^^^^^^^

    pipeline.toml:6:9: stream.topic: `` is not a name; allowed: 1 to 200 letters (a-z, A-Z), digits, `.`, `_`, `-`
      |
    6 | topic = ""
      |         ^^
    "#);
}

#[test]
fn wrong_types_say_what_is_there_and_what_is_allowed() {
    let text = "watch = \"yes\"\nevent_time = [\"a\"]\nsettle = 2\npace = 50000\n[stream]\npartitions = \"2\"\nbatch_rows = 1.5\n\
                flush_bytes = true\n[table]\nmax_rows = {}\n[archive]\npartition_by = 1979-05-27\n[limits]\nquery_rows = []\n";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:5:9: source.watch: this is a text; allowed: true, false
      |
    5 | watch = "yes"
      |         ^^^^^

    pipeline.toml:6:14: source.event_time: this is a list; allowed: a text in quotes
      |
    6 | event_time = ["a"]
      |              ^^^^^

    pipeline.toml:7:10: source.settle: this is a whole number; allowed: a whole number and a unit (ms, s, m, h, d), such as "10s", 0s to 1h
      |
    7 | settle = 2
      |          ^

    pipeline.toml:8:8: source.pace: this is a whole number; allowed: "max" or rows per second, such as "50000 rows/s"
      |
    8 | pace = 50000
      |        ^^^^^

    pipeline.toml:10:14: stream.partitions: this is a text; allowed: a whole number, 1 to 1024
       |
    10 | partitions = "2"
       |              ^^^

    pipeline.toml:11:14: stream.batch_rows: this is a number with a point; allowed: a whole number, 1 to 1000000
       |
    11 | batch_rows = 1.5
       |              ^^^

    pipeline.toml:12:15: stream.flush_bytes: this is true or false; allowed: bytes as a whole number, or with a unit (kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as "512MiB", 64KiB to 1GiB
       |
    12 | flush_bytes = true
       |               ^^^^

    pipeline.toml:14:12: table.max_rows: this is a table; allowed: a whole number, 1 to 1000000000000
       |
    14 | max_rows = {}
       |            ^^

    pipeline.toml:16:16: archive.partition_by: this is a date or time; allowed: arrival_day, none, day, month
       |
    16 | partition_by = 1979-05-27
       |                ^^^^^^^^^^

    pipeline.toml:18:14: limits.query_rows: this is a list; allowed: a whole number, 1 to 10000000
       |
    18 | query_rows = []
       |              ^^
    "#);
}

#[test]
fn sections_must_be_tables_and_views_a_list_of_them() {
    assert_snapshot!(errors_of("pipeline = \"taxi\"\n[[source]]\npath = \"a\"\n[view]\nname = \"a\"\n"), @r#"
    pipeline.toml:1:12: pipeline: this is a text; allowed: a table
      |
    1 | pipeline = "taxi"
      |            ^^^^^^

    pipeline.toml:2:1: source: this is a list; allowed: a table
      |
    2 | [[source]]
      | ^^^^^^^^^^

    pipeline.toml:4:1: view: this is one table or value; allowed: tables that begin with `[[view]]`
      |
    4 | [view]
      | ^^^^^^
    "#);
}

#[test]
fn numbers_sizes_and_durations_out_of_range_name_the_range() {
    let text = "parallel_splits = 65\nsettle = \"2h\"\n[stream]\npartitions = -1\nbatch_rows = 99999999999999999999\n\
                max_record_bytes = \"1MiB\"\nflush_interval = \"0ms\"\n[archive]\ntarget_file_bytes = 1\n[limits]\nmemory = \"63MiB\"\n\
                query_timeout = \"9999999999999999999d\"\n";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:5:19: source.parallel_splits: out of range; allowed: a whole number, 1 to 64
      |
    5 | parallel_splits = 65
      |                   ^^

    pipeline.toml:6:10: source.settle: out of range; allowed: 0s to 1h
      |
    6 | settle = "2h"
      |          ^^^^

    pipeline.toml:8:14: stream.partitions: out of range; allowed: a whole number, 1 to 1024
      |
    8 | partitions = -1
      |              ^^

    pipeline.toml:9:14: stream.batch_rows: out of range; allowed: a whole number, 1 to 1000000
      |
    9 | batch_rows = 99999999999999999999
      |              ^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:10:20: stream.max_record_bytes: out of range; allowed: 16KiB to 900KiB
       |
    10 | max_record_bytes = "1MiB"
       |                    ^^^^^^

    pipeline.toml:11:18: stream.flush_interval: out of range; allowed: 1ms to 10s
       |
    11 | flush_interval = "0ms"
       |                  ^^^^^

    pipeline.toml:13:21: archive.target_file_bytes: out of range; allowed: 64KiB to 4GiB
       |
    13 | target_file_bytes = 1
       |                     ^

    pipeline.toml:15:10: limits.memory: out of range; allowed: 64MiB to 64TiB
       |
    15 | memory = "63MiB"
       |          ^^^^^^^

    pipeline.toml:16:17: limits.query_timeout: `9999999999999999999d` is not a duration; allowed: a whole number and a unit (ms, s, m, h, d), such as "10s", 10ms to 1h
       |
    16 | query_timeout = "9999999999999999999d"
       |                 ^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn quantities_in_another_form_show_the_form() {
    let text = "settle = \"two seconds\"\npace = \"50000\"\n[limits]\nmemory = \"half\"\n";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:5:10: source.settle: `two seconds` is not a duration; allowed: a whole number and a unit (ms, s, m, h, d), such as "10s", 0s to 1h
      |
    5 | settle = "two seconds"
      |          ^^^^^^^^^^^^^

    pipeline.toml:6:8: source.pace: `50000` is not a pace; allowed: "max" or rows per second, such as "50000 rows/s"
      |
    6 | pace = "50000"
      |        ^^^^^^^

    pipeline.toml:8:10: limits.memory: `half` is not a size; allowed: bytes as a whole number, or with a unit (kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as "512MiB", 64MiB to 64TiB
      |
    8 | memory = "half"
      |          ^^^^^^
    "#);
}

#[test]
fn a_source_path_must_be_there_and_local() {
    assert_snapshot!(errors_of("[pipeline]\nname = \"t\"\n[source]\npath = \"\"\n"), @r#"
    pipeline.toml:4:8: source.path: this is empty
      |
    4 | path = ""
      |        ^^
    "#);
    assert_snapshot!(errors_of("[pipeline]\nname = \"t\"\n[source]\npath = []\n"), @r#"
    pipeline.toml:4:8: source.path: this is empty; allowed: at least one file, glob or directory
      |
    4 | path = []
      |        ^^
    "#);
    assert_snapshot!(errors_of("[pipeline]\nname = \"t\"\n[source]\npath = [\"a\", \" \", 3, \"http://host/a\", \"s3://bucket/a\"]\n"), @r#"
    pipeline.toml:4:14: source.path[1]: this is empty
      |
    4 | path = ["a", " ", 3, "http://host/a", "s3://bucket/a"]
      |              ^^^

    pipeline.toml:4:19: source.path[2]: this is a whole number; allowed: a text in quotes
      |
    4 | path = ["a", " ", 3, "http://host/a", "s3://bucket/a"]
      |                   ^

    pipeline.toml:4:22: source.path[3]: `http://host/a` is no URL that is understood: `http://` is no object store that is known here; allowed: a path, or s3://bucket/key (also gs:// and az://)
      |
    4 | path = ["a", " ", 3, "http://host/a", "s3://bucket/a"]
      |                      ^^^^^^^^^^^^^^^

    pipeline.toml:4:39: source.path[4]: the files of a pipeline are all on this machine or all in one bucket; make a pipeline of its own for the others
      |
    4 | path = ["a", " ", 3, "http://host/a", "s3://bucket/a"]
      |                                       ^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn words_of_a_closed_list_are_all_named() {
    assert_snapshot!(errors_after_least("[archive]\npartition_by = \"week\"\n"), @r#"
    pipeline.toml:6:16: archive.partition_by: unknown partitioning `week`; allowed: arrival_day, none, day, month
      |
    6 | partition_by = "week"
      |                ^^^^^^
    "#);
}

#[test]
fn an_address_needs_ip_and_port() {
    assert_snapshot!(errors_after_least("[server]\nhttp = \"example.org:80\"\n"), @r#"
    pipeline.toml:6:8: server.http: `example.org:80` is not an address; allowed: an IP address and a port, such as "127.0.0.1:8080" or "[::1]:0"
      |
    6 | http = "example.org:80"
      |        ^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn spark_is_named_by_its_address_and_the_paths_that_it_sees() {
    let text = "[clean.spark]\nconnect = \"sc://host:15002/;token=abc\"\nmode = \"staged\"\n\
                path_on_cluster = { \"/data\" = \"s3a://lake/\", \"/data/a\" = \"/mnt/a\" }\n";
    let spark = parse(&format!("{LEAST}{text}")).spark.unwrap();
    assert_eq!(spark.connect.reveal(), "sc://host:15002/;token=abc");
    assert_eq!(spark.mode, SparkMode::Staged);
    assert!(spark.staging.ends_with("millstream-data/staging"));
    assert_eq!(spark.on_cluster(Path::new("/data/b/c.parquet")), "s3a://lake/b/c.parquet");
    assert_eq!(spark.on_cluster(Path::new("/data/a/c.parquet")), "/mnt/a/c.parquet");
    assert_eq!(spark.on_cluster(Path::new("/database/c.parquet")), "/database/c.parquet");
}

#[test]
fn what_is_wrong_with_spark_is_told_without_its_token() {
    let text = "[clean.spark]\nconnect = \"spark://host:7077/;token=abc\"\nmode = \"fast\"\ndirect_bytes = \"1KiB\"\n";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:6:11: clean.spark.connect: this is not the address of a Spark Connect server; allowed: sc://host:port, such as "sc://spark.example.org:15002/;token=${SPARK_TOKEN}"
      |
    6 | connect = ***
      |           ^^^

    pipeline.toml:7:8: clean.spark.mode: unknown mode `fast`; allowed: direct, staged
      |
    7 | mode = ***
      |        ^^^

    pipeline.toml:8:16: clean.spark.direct_bytes: out of range; allowed: 1MiB to 1GiB
      |
    8 | direct_bytes = ***
      |                ^^^
    "#);
    let text = "[clean.spark]\nconnect = \"sc://a:1\"\n[clean.columns]\na = { type = \"int64\" }\n[stream]\nformat = \"json\"\n\
                kafka = { brokers = \"a:1\", foreign = true }\n";
    assert_snapshot!(errors_of(&format!("[pipeline]\nname = \"taxi\"\n{text}")), @r#"
    pipeline.toml:3:1: clean.spark: `stream.kafka.foreign` rows are cleaned one by one while they are received, which Spark is not for; leave `[clean.spark]` out
      |
    3 | [clean.spark]
      | ^^^^^^^^^^^^^
    "#);
}

#[test]
fn mistakes_in_views_are_told() {
    let text = "
[[view]]
name = \"Live\"
sql = \"SELECT 1\"
[[view]]
name = \"1st\"
sql = \" \"
[[view]]
name = \"trips\"
sql = \"SELECT 1\"
materialized = true
[[view]]
name = \"TRIPS\"
sql = \"SELECT 1\"
[[view]]
chart = { kind = \"pie\", hue = \"red\" }
";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:7:8: view[0].name: `Live` is a table of every pipeline; give the view another name
      |
    7 | name = "Live"
      |        ^^^^^^

    pipeline.toml:10:8: view[1].name: `1st` is not a name of a view; allowed: a letter or `_`, then letters, digits, `_`
       |
    10 | name = "1st"
       |        ^^^^^

    pipeline.toml:11:7: view[1].sql: this is empty
       |
    11 | sql = " "
       |       ^^^

    pipeline.toml:15:16: view[2].materialized: not yet: this version runs every view when it is asked for; leave `materialized` out
       |
    15 | materialized = true
       |                ^^^^

    pipeline.toml:17:8: view[3].name: a view before has the name `TRIPS` too (SQL takes no note of case); rename one
       |
    17 | name = "TRIPS"
       |        ^^^^^^^

    pipeline.toml:19:1: view[4].name: missing, and needed; allowed: a letter or `_`, then letters, digits, `_`
       |
    19 | [[view]]
       | ^^^^^^^^

    pipeline.toml:19:1: view[4].sql: missing, and needed; allowed: a SELECT over live, archive, events, rejects
       |
    19 | [[view]]
       | ^^^^^^^^

    pipeline.toml:20:18: view[4].chart.kind: unknown kind of chart `pie`; allowed: line, bar, area, scatter, heatmap, table, number
       |
    20 | chart = { kind = "pie", hue = "red" }
       |                  ^^^^^

    pipeline.toml:20:25: view[4].chart.hue: unknown key; allowed: kind, x, y, series, value, fit
       |
    20 | chart = { kind = "pie", hue = "red" }
       |                         ^^^
    "#);
}

#[test]
fn a_chart_has_the_columns_that_its_kind_draws() {
    let text = "
[[view]]
name = \"a\"
sql = \"SELECT 1\"
chart = { kind = \"line\", x = \"hour\" }
[[view]]
name = \"b\"
sql = \"SELECT 1\"
chart = { kind = \"number\", x = \"hour\" }
[[view]]
name = \"c\"
sql = \"SELECT 1\"
chart = { x = \"hour\" }
";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:9:9: view[0].chart.y: missing, and needed; allowed: a column of the view
      |
    9 | chart = { kind = "line", x = "hour" }
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:13:9: view[1].chart.y: missing, and needed; allowed: a column of the view
       |
    13 | chart = { kind = "number", x = "hour" }
       |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:13:32: view[1].chart.x: a chart with `kind = "number"` has no `x`; leave one of them out
       |
    13 | chart = { kind = "number", x = "hour" }
       |                                ^^^^^^

    pipeline.toml:17:9: view[2].chart.kind: missing, and needed; allowed: line, bar, area, scatter, heatmap, table, number
       |
    17 | chart = { x = "hour" }
       |         ^^^^^^^^^^^^^^
    "#);
}

#[test]
fn a_heat_map_has_a_value_and_only_a_scatter_has_a_fit() {
    let text = "
[[view]]
name = \"a\"
sql = \"SELECT 1\"
chart = { kind = \"heatmap\", x = \"day\", y = \"hour\" }
[[view]]
name = \"b\"
sql = \"SELECT 1\"
chart = { kind = \"line\", x = \"day\", y = \"rows\", fit = true }
";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:9:9: view[0].chart.value: missing, and needed; allowed: a column of the view
      |
    9 | chart = { kind = "heatmap", x = "day", y = "hour" }
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    pipeline.toml:13:55: view[1].chart.fit: only a chart with `kind = "scatter"` has a `fit`; leave one of them out
       |
    13 | chart = { kind = "line", x = "day", y = "rows", fit = true }
       |                                                       ^^^^
    "#);
}

#[test]
fn variables_that_are_not_set_and_bad_braces_are_told() {
    assert_snapshot!(errors_after_least("event_time = \"${NOT_SET}\"\npace = \"${\"\n[pipeline.x]\n"), @r#"
    pipeline.toml:5:14: source.event_time: the environment has no `NOT_SET`; set it, or write `$${NOT_SET}` for the text itself
      |
    5 | event_time = "${NOT_SET}"
      |              ^^^^^^^^^^^^

    pipeline.toml:6:8: source.pace: `${` without the name of a variable and `}` behind it; write `$${` for the text itself
      |
    6 | pace = "${"
      |        ^^^^

    pipeline.toml:7:11: pipeline.x: unknown key; allowed: name, data_dir, drain_deadline
      |
    7 | [pipeline.x]
      |           ^
    "#);
}

#[test]
fn values_of_the_environment_are_taken_and_never_shown() {
    let config = parse("[pipeline]\nname = \"taxi\"\ndata_dir = \"${HOME_DIR}/data\"\n[source]\npath = \"$${a}\"\n");
    assert_eq!(config.pipeline.data_dir, Path::new("/home/ada/data"));
    assert_eq!(config.source.path, ["${a}"]);
    let text = "pace = \"${PAGE_TOKEN}\"\n[clean.rules]\na = { column = \"b\", check = { pattern = \"(${PAGE_TOKEN}\" }, action = \"warn\" }\n";
    let errors = errors_after_least(text);
    assert!(!errors.contains("hunter2"), "{errors}");
    assert_snapshot!(errors, @r#"
    pipeline.toml:5:8: source.pace: `${PAGE_TOKEN}` is not a pace; allowed: "max" or rows per second, such as "50000 rows/s"
      |
    5 | pace = "${PAGE_TOKEN}"
      |        ^^^^^^^^^^^^^^^

    pipeline.toml:7:41: clean.rules.a.check.pattern: `(${PAGE_TOKEN}` is not a regular expression: unclosed group
      |
    7 | a = { column = "b", check = { pattern = "(${PAGE_TOKEN}" }, action = "warn" }
      |                                         ^^^^^^^^^^^^^^^^
    "#);
}
