use std::collections::HashSet;

use millstream_core::status::{
    ArchiveStatus, CleanStatus, EndedQueries, Freshness, LogTrouble, PartitionStatus, PipelineState, QueriesInfo,
    ReceiveStatus, RuleCount, RunningQuery, SourceStatus, Status, StreamStatus, TableStatus,
};

fn text(status: &Status) -> String {
    let queries = QueriesInfo {
        running: vec![RunningQuery { sql: "SELECT 1".to_owned(), seconds: 0.5 }],
        ended: EndedQueries { cancelled: 2, ..EndedQueries::default() },
        memory_bytes: 1,
        memory_limit_bytes: 2,
        most_rows: 3,
        most_seconds: 30.0,
    };
    super::text(status, &queries)
}

fn status() -> Status {
    Status {
        pipeline: "ta\"xi\\\n".to_owned(),
        version: "0.1.0".to_owned(),
        state: PipelineState::Waiting,
        stages: Vec::new(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
        uptime_seconds: 1.5,
        memory_bytes: 1,
        memory_limit_bytes: 2,
        source: SourceStatus { rows_read: 7, ..SourceStatus::default() },
        clean: CleanStatus::default(),
        stream: StreamStatus {
            partitions: vec![PartitionStatus { topic: "taxi".to_owned(), end_offset: 9, ..PartitionStatus::default() }],
            ..StreamStatus::default()
        },
        receive: ReceiveStatus::default(),
        table: TableStatus::default(),
        archive: ArchiveStatus { version: Some(3), ..ArchiveStatus::default() },
        rejects_by_rule: vec![RuleCount { rule: "fare".to_owned(), rows: 5 }],
        freshness: Freshness { p50_seconds: Some(0.25), ..Freshness::default() },
        latencies: Vec::new(),
        messages: Vec::new(),
    }
}

#[test]
fn every_sample_follows_the_help_and_type_of_its_family_once() {
    let text = text(&status());
    let mut families = HashSet::new();
    let mut samples = HashSet::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap().to_owned();
            assert!(families.insert(family.clone()), "{family} twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        } else {
            let (name_and_labels, value) = line.rsplit_once(' ').unwrap();
            assert!(line.starts_with(&format!("{family}{{")), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(samples.insert(name_and_labels.to_owned()), "{line} twice");
        }
        assert!(family.starts_with("millstream_"), "{family}");
    }
}

#[test]
fn labels_are_escaped_and_carry_the_pipeline() {
    let text = text(&status());
    for line in [
        r#"millstream_source_rows_read_total{pipeline="ta\"xi\\\n"} 7"#,
        r#"millstream_state{pipeline="ta\"xi\\\n",state="waiting"} 1"#,
        r#"millstream_state{pipeline="ta\"xi\\\n",state="running"} 0"#,
        r#"millstream_rule_rejected_rows_total{pipeline="ta\"xi\\\n",rule="fare"} 5"#,
        r#"millstream_log_end_offset{pipeline="ta\"xi\\\n",topic="taxi",partition="0"} 9"#,
        r#"millstream_freshness_seconds{pipeline="ta\"xi\\\n",quantile="0.5"} 0.25"#,
        r#"millstream_archive_version{pipeline="ta\"xi\\\n"} 3"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_log_is_up_once_it_is_open_and_while_nothing_troubles_it() {
    let is_up = |log: &str, trouble: Option<LogTrouble>| {
        let mut status = status();
        (status.stream.log, status.stream.trouble) = (log.to_owned(), trouble);
        let text = text(&status);
        let sample = text.lines().find(|line| line.starts_with("millstream_log_up{")).unwrap();
        sample.ends_with(" 1")
    };
    assert!(is_up("embedded", None));
    assert!(is_up("kafka", None));
    assert!(!is_up("kafka", Some(LogTrouble::default())));
    assert!(!is_up("", None));
}

#[test]
fn a_size_that_kafka_does_not_tell_is_no_sample() {
    let mut status = status();
    for (log, is_told) in [("embedded", true), ("kafka", false)] {
        log.clone_into(&mut status.stream.log);
        assert_eq!(text(&status).contains("millstream_log_disk_bytes"), is_told, "{log}");
    }
}
