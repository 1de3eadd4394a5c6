use insta::assert_snapshot;

use super::*;

#[test]
fn a_window_of_dedup_needs_an_event_time() {
    assert_snapshot!(errors_after_least("[clean.dedup]\nkey = [\"a\"]\nwithin = \"45d\"\n"), @r#"
    pipeline.toml:7:10: clean.dedup.within: a window `clean.dedup.within` needs `source.event_time` to measure it by; name that column, or take "file" or "source"
      |
    7 | within = "45d"
      |          ^^^^^
    "#);
}

#[test]
fn partitions_by_event_time_need_one() {
    for by in ["day", "month"] {
        let errors = errors_after_least(&format!("[archive]\npartition_by = \"{by}\"\n"));
        assert!(errors.contains("needs `source.event_time`"), "{errors}");
    }
    assert_snapshot!(errors_after_least("[archive]\npartition_by = \"month\"\n"), @r#"
    pipeline.toml:6:16: archive.partition_by: `archive.partition_by` by the event's day or month needs `source.event_time`; name that column, or partition otherwise; allowed: arrival_day, none
      |
    6 | partition_by = "month"
      |                ^^^^^^^
    "#);
}

#[test]
fn an_event_time_that_is_wrong_is_not_told_as_missing_too() {
    assert_snapshot!(errors_after_least("event_time = 1\n[archive]\npartition_by = \"month\"\n"), @r#"
    pipeline.toml:5:14: source.event_time: this is a whole number; allowed: a text in quotes
      |
    5 | event_time = 1
      |              ^
    "#);
}

#[test]
fn the_event_time_is_a_timestamp_that_cleaning_leaves() {
    let errors = |text: &str| errors_in_clean(text);
    assert_snapshot!(errors("[clean.columns]\npickup = { type = \"int64\" }\n"), @r#"
    pipeline.toml:5:14: source.event_time: `source.event_time` names `pickup`, whose `type` in `[clean]` is not `timestamp`; change one of them
      |
    5 | event_time = "pickup"
      |              ^^^^^^^^
    "#);
    assert_snapshot!(errors("[clean]\ndrop = [\"pickup\"]\n"), @r#"
    pipeline.toml:5:14: source.event_time: `pickup` is left out by `clean.drop`; take it out of there or name another column here
      |
    5 | event_time = "pickup"
      |              ^^^^^^^^
    "#);
    assert_snapshot!(errors("[clean.columns]\nat = { from = [\"pickup\"] }\n"), @r#"
    pipeline.toml:5:14: source.event_time: `pickup` is called `at` after cleaning (`clean.columns`); write `at` here
      |
    5 | event_time = "pickup"
      |              ^^^^^^^^
    "#);
}

#[test]
fn an_open_address_needs_a_token_or_a_user() {
    let users_at = |users: &'static str| {
        move |server: &str| {
            let outside = Outside { view_problem: &|_| None, has_users: &|path| path == Path::new(users) };
            let text = format!("{LEAST}[server]\n{server}\n");
            Config::parse_with(&text, Path::new("/p/pipeline.toml"), &environment, &outside).is_ok()
        }
    };
    let (nobody, somebody) = (users_at("nowhere"), users_at("/p/users.json"));
    for address in ["0.0.0.0:8080", "[::]:8080", "192.168.1.5:80", "[::ffff:127.0.0.1]:80"] {
        let http = format!("http = \"{address}\"");
        assert!(!nobody(&http) && !somebody(&http), "{address}");
        assert!(somebody(&format!("{http}\nusers = \"users.json\"")), "{address}");
        assert!(nobody(&format!("{http}\ntoken = \"${{PAGE_TOKEN}}\"")), "{address}");
    }
    for address in ["127.0.0.1:0", "[::1]:8080", "127.9.9.9:80", "localhost:8080"] {
        assert!(nobody(&format!("http = \"{address}\"")), "{address}");
    }
    assert_snapshot!(errors_after_least("[server]\nhttp = \"0.0.0.0:8080\"\n"), @r#"
    pipeline.toml:6:8: server.http: `server.http` is reachable from other machines, and nobody may log in yet; make a user (`millstream user add NAME --role operator`), or set `server.token`, such as "${MILLSTREAM_TOKEN}", or listen on 127.0.0.1
      |
    6 | http = "0.0.0.0:8080"
      |        ^^^^^^^^^^^^^^
    "#);
}

#[test]
fn archive_and_state_are_kept_apart() {
    assert_snapshot!(errors_after_least("[archive]\npath = \"./millstream-data\"\n"), @r#"
    pipeline.toml:6:8: archive.path: `archive.path` is `pipeline.data_dir` or holds it, so that the archive and the state would mix; give the archive a folder of its own
      |
    6 | path = "./millstream-data"
      |        ^^^^^^^^^^^^^^^^^^^
    "#);
    parse(&format!("{LEAST}[archive]\npath = \"millstream-data/archive\"\n"));
}

#[test]
fn shares_of_memory_fit_into_it() {
    let text = "parallel_splits = 64\n[stream]\nflush_bytes = \"32MiB\"\nbatch_bytes = \"8MiB\"\n[limits]\nmemory = \"64MiB\"\n";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:7:15: stream.flush_bytes: `stream.flush_bytes` (32MiB) is more than a quarter of `limits.memory` (64MiB); lower the one or raise the other
      |
    7 | flush_bytes = "32MiB"
      |               ^^^^^^^

    pipeline.toml:8:15: stream.batch_bytes: `source.parallel_splits` (64) batches of `stream.batch_bytes` (8MiB) are more than half of `limits.memory` (64MiB); lower one of the first two or raise the last
      |
    8 | batch_bytes = "8MiB"
      |               ^^^^^^
    "#);
    parse(&format!("{LEAST}[limits]\nmemory = \"64MiB\"\n"));
}

#[test]
fn splits_that_nobody_asked_for_make_way_for_large_batches() {
    let config = parse(&format!("{LEAST}[stream]\nbatch_bytes = \"32MiB\"\n[limits]\nmemory = \"64MiB\"\n"));
    assert_eq!(config.source.parallel_splits.get(), 1);
}

#[test]
fn files_that_a_query_reads_stay_until_it_ends() {
    assert_snapshot!(errors_after_least("[archive]\nhistory = \"10s\"\n[limits]\nquery_timeout = \"6s\"\n"), @r#"
    pipeline.toml:6:11: archive.history: `archive.history` (10s) is less than twice `limits.query_timeout` (6s), so that files could go while a query reads them; raise the one or lower the other
      |
    6 | history = "10s"
      |           ^^^^^
    "#);
    assert!(
        errors_after_least("[limits]\nquery_timeout = \"1h\"\n[archive]\nhistory = \"1h\"\n").contains("raise the one")
    );
}

#[test]
fn an_age_by_event_time_needs_one_and_a_kind_of_age_needs_an_age() {
    let text = "[archive]\nretention = \"30d\"\nretention_by = \"event_time\"\n";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:7:16: archive.retention_by: `archive.retention_by = "event_time"` needs `source.event_time`; name that column, or let it count from `ingested_at`; allowed: ingested_at
      |
    7 | retention_by = "event_time"
      |                ^^^^^^^^^^^^
    "#);
    assert_snapshot!(errors_after_least("[archive]\nretention_by = \"ingested_at\"\n"), @r#"
    pipeline.toml:6:16: archive.retention_by: `archive.retention_by` says what `archive.retention` counts from, which is not set
      |
    6 | retention_by = "ingested_at"
      |                ^^^^^^^^^^^^^
    "#);
}
