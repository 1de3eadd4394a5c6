use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use super::*;
use crate::config::clean::{
    Action, Check, Column, CompareOp, Dedup, DedupWithin, Drift, Literal, OnAdded, OnBad, OnChanged, OnMissing, Rule,
    TextCase,
};
use crate::config::{
    Format, Pace, PartitionBy, Retention, RetentionBy, Sasl, SaslMechanism, Secret, SecretSource, Tls, Upkeep,
};
use crate::types::ColumnType;

const PAGE: &str = include_str!("../../../../../docs/pipeline.md");

/// The whole example of the page.
fn example() -> Config {
    parse_as_on_the_page(example_text(0))
}

/// The text of the example with this number.
fn example_text(index: usize) -> &'static str {
    PAGE.split("```toml\n").nth(index + 1).and_then(|text| text.split("```").next()).unwrap()
}

fn parse_as_on_the_page(text: &str) -> Config {
    let environment = |name: &str| ["MILLSTREAM_TOKEN", "KEY_PASSWORD"].contains(&name).then(|| "hunter2".to_owned());
    match Config::parse(text, Path::new("/pipelines/taxi/pipeline.toml"), &environment) {
        Ok(config) => config,
        Err(errors) => panic!("{errors}"),
    }
}

fn text(value: &str) -> Literal {
    Literal::Text(value.to_owned())
}

fn column(name: &str, from: &[&str], column_type: ColumnType) -> Column {
    Column {
        name: name.to_owned(),
        from: from.iter().map(|&from| from.to_owned()).collect(),
        column_type: Some(column_type),
        formats: Vec::new(),
        time_zone: None,
        on_bad: OnBad::Reject,
        null_tokens: Vec::new(),
        trim: false,
        case: None,
        fill: None,
    }
}

fn rule(name: &str, column: &str, check: Check, action: Action) -> Rule {
    let column = (!column.is_empty()).then(|| column.to_owned());
    Rule { name: name.to_owned(), column, check, action }
}

#[test]
fn source_and_transport_of_the_example_are_read() {
    let config = example();
    assert_eq!(config.base_dir, Path::new("/pipelines/taxi"));
    assert_eq!(config.pipeline.name, "taxi");
    assert_eq!(config.pipeline.data_dir, Path::new("/pipelines/taxi/millstream-data"));
    assert_eq!(config.pipeline.drain_deadline, Duration::from_mins(1));
    assert_eq!(config.source.path, ["data/*.parquet"]);
    assert!(config.source.watch && !config.source.recursive);
    assert_eq!(config.source.event_time.as_deref(), Some("pickup_datetime"));
    assert_eq!(config.source.pace, Pace::RowsPerSecond(NonZeroU64::new(50_000).unwrap()));
    assert_eq!(config.source.pace.to_string(), "50000 rows/s");
    assert_eq!(config.source.settle, Duration::from_secs(2));
    assert_eq!(config.source.parallel_splits.get(), 4);
    assert_eq!(config.stream.topic, "taxi");
    assert_eq!(config.stream.partitions.get(), 2);
    assert_eq!(config.stream.flush_interval, Duration::from_millis(20));
    assert_eq!((config.stream.flush_bytes, config.stream.batch_bytes), (8 << 20, 4 << 20));
    assert_eq!(config.stream.batch_rows.get(), 8192);
    assert_eq!(config.stream.max_record_bytes, 921_600);
    assert_eq!(config.stream.retention, Duration::from_hours(1));
    assert_eq!(config.stream.retention_bytes, 1_000_000_000);
    assert_eq!((config.stream.format, config.stream.key.len(), config.stream.kafka), (Format::Arrow, 0, None));
}

#[test]
fn the_example_of_kafka_is_read() {
    let stream = parse_as_on_the_page(&format!("{LEAST}{}", example_text(1))).stream;
    assert_eq!((stream.partitions.get(), stream.format), (6, Format::Json));
    assert_eq!(stream.key, ["vendor_id"]);
    let kafka = stream.kafka.unwrap();
    assert_eq!(kafka.brokers, "kafka-1.example.org:9093,kafka-2.example.org:9093");
    assert_eq!((kafka.replication, kafka.min_insync_replicas), (Some(3), Some(2)));
    assert_eq!((kafka.transaction_timeout, kafka.session_timeout), (Duration::from_mins(1), Duration::from_secs(45)));
    assert_eq!((kafka.group.as_str(), kafka.foreign), ("millstream-taxi", false));
    let file = |name: &str| Path::new("/pipelines/taxi").join(name);
    let tls = Tls {
        ca: Some(file("ca.pem")),
        certificate: Some(file("client.pem")),
        key: Some(file("client.key")),
        key_password: Some(SecretSource::Value(Secret::new("hunter2".to_owned()))),
        verify_hostname: true,
    };
    let sasl = Sasl {
        mechanism: SaslMechanism::ScramSha512,
        username: "ada".to_owned(),
        password: SecretSource::File(file("kafka-password.txt")),
    };
    assert_eq!((kafka.tls, kafka.sasl), (Some(tls), Some(sasl)));
}

#[test]
fn tables_views_and_limits_of_the_example_are_read() {
    let config = example();
    assert_eq!(config.table.retention, Duration::from_hours(24));
    assert_eq!(config.table.max_rows.map(NonZeroU64::get), Some(5_000_000));
    assert_eq!(config.archive.path.folder(), Some(Path::new("/pipelines/taxi/millstream-data/archive")));
    assert_eq!(config.archive.partition_by, PartitionBy::Month);
    assert_eq!(config.archive.commit_interval, Duration::from_secs(10));
    assert_eq!(config.table.max_bytes.map(NonZeroU64::get), Some(100 << 20));
    assert_eq!(config.archive.commit_bytes, 128 << 20);
    let retention = Retention { age: Duration::from_hours(24 * 3650), by: RetentionBy::EventTime };
    let upkeep = Upkeep {
        compact: true,
        target_file_bytes: 128 << 20,
        history: Duration::from_hours(24),
        checkpoint_versions: NonZeroU32::new(20).unwrap(),
        retention: Some(retention),
    };
    assert_eq!(config.archive.upkeep, upkeep);
    let views: Vec<&str> = config.views.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(views, ["trips_per_hour", "trips", "newest"]);
    let chart = config.views[0].chart.as_ref().unwrap();
    assert_eq!((chart.kind.as_str(), chart.x.as_deref(), chart.y.as_deref()), ("line", Some("hour"), Some("trips")));
    assert_eq!(config.views[2].chart, None);
    assert_eq!(config.limits.memory, 512 << 20);
    assert_eq!(config.limits.query_timeout, Duration::from_secs(30));
    assert_eq!(config.limits.query_rows.get(), 100_000);
    let files = config.limits.files;
    assert_eq!((files.footer, files.columns, files.row_groups, files.depth), (32 << 20, 10_000, 32_767, 32));
    assert_eq!((files.unpacked, files.expansion), (1 << 30, 10_000));
    assert_eq!((files.isolated_memory, files.isolated_time), (512 << 20, Duration::from_mins(1)));
    assert_eq!(config.server.http.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.token.unwrap().reveal(), "hunter2");
}

#[test]
fn columns_of_the_example_are_read_in_their_order() {
    let clean = example().clean;
    assert_eq!(clean.null_tokens, ["", "N/A"]);
    assert_eq!(clean.drop, ["", "test_bool"]);
    let expected = [
        column("vendor_id", &["VendorID"], ColumnType::Int32),
        Column {
            formats: vec!["%Y-%m-%d %H:%M:%S".to_owned()],
            time_zone: Some("UTC".to_owned()),
            ..column("pickup_datetime", &["tpep_pickup_datetime"], ColumnType::Timestamp)
        },
        column("dropoff_datetime", &["tpep_dropoff_datetime"], ColumnType::Timestamp),
        Column { on_bad: OnBad::Nullify, ..column("passenger_count", &[], ColumnType::Int32) },
        Column { null_tokens: vec!["99".to_owned()], ..column("rate_code_id", &["RatecodeID"], ColumnType::Int32) },
        Column {
            trim: true,
            case: Some(TextCase::Upper),
            fill: Some(text("N")),
            ..column("store_and_fwd_flag", &[], ColumnType::Text)
        },
        column("fare_amount", &[], ColumnType::Decimal { precision: 10, scale: 2 }),
    ];
    assert_eq!(clean.columns, expected);
    assert_eq!(clean.derive.len(), 1);
    assert_eq!(clean.derive[0].column_type, ColumnType::Float64);
    assert_eq!(clean.keep.as_deref(), Some("pickup_datetime >= TIMESTAMP '2018-11-01 00:00:00Z'"));
}

#[test]
fn rules_of_the_example_are_read_in_their_order() {
    let clean = example().clean;
    let range = |min, max| Check::Range { min, max };
    let sql = "pickup_datetime >= TIMESTAMP '2019-02-01 00:00:00Z'".to_owned();
    let later = Check::Compare { op: CompareOp::Greater, with: "pickup_datetime".to_owned() };
    let zero = Some(Literal::Integer(0));
    let expected = [
        rule("fare", "fare_amount", range(zero.clone(), Some(Literal::Integer(500))), Action::Reject),
        rule("distance", "trip_distance", range(zero, Some(Literal::Float(200.5))), Action::Clamp),
        rule("after", "dropoff_datetime", range(Some(text("2018-11-01T00:00:00Z")), None), Action::Warn),
        rule("payment", "payment_type", Check::OneOf((1..=6).map(Literal::Integer).collect()), Action::Nullify),
        rule("flag", "store_and_fwd_flag", Check::Pattern("^[NY]$".to_owned()), Action::Warn),
        rule("flag_size", "store_and_fwd_flag", Check::Length { min: None, max: Some(1) }, Action::Warn),
        rule("surcharge", "congestion_surcharge", Check::RequiredIf(sql), Action::Warn),
        rule("forward", "dropoff_datetime", later, Action::Reject),
        rule("vendor", "vendor_id", Check::NotNull, Action::Fail),
        rule("zones", "", Check::Sql("pickup_location_id NOT IN (264, 265)".to_owned()), Action::Warn),
    ];
    assert_eq!(clean.rules, expected);
    let key = ["vendor_id", "pickup_datetime", "dropoff_datetime", "total_amount"].map(str::to_owned).to_vec();
    let within = DedupWithin::Window { length_micros: 45 * 86_400 * 1_000_000 };
    assert_eq!(clean.dedup, Some(Dedup { key, within }));
    let drift = Drift { missing: OnMissing::Fill, added: OnAdded::Evolve, changed: OnChanged::Cast };
    assert_eq!(clean.drift, drift);
}

#[test]
fn the_least_file_takes_every_default() {
    let config = parse(LEAST);
    let dir = Path::new("/pipelines/taxi");
    assert_eq!(config.pipeline.data_dir, dir.join("millstream-data"));
    assert_eq!(config.archive.path.folder(), Some(&*dir.join("millstream-data/archive")));
    assert_eq!(config.archive.partition_by, PartitionBy::ArrivalDay);
    assert_eq!(config.source.pace, Pace::Max);
    assert!((1..=8).contains(&config.source.parallel_splits.get()));
    assert_eq!(config.stream.topic, "taxi");
    assert_eq!(config.server.http.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.users, dir.join("millstream-data/users.json"));
    assert_eq!(config.clean, crate::config::clean::Clean::default());
    assert!(config.views.is_empty() && config.server.token.is_none() && config.table.max_rows.is_none());
}

#[test]
fn a_list_of_sources_stays_as_written_and_folders_become_absolute() {
    let config = parse(
        "[pipeline]\nname = \"t\"\ndata_dir = \"state/./t\"\n[source]\npath = [\"./a\", \"../b/*.parquet\"]\n[archive]\npath = \"/lake\"\n",
    );
    assert_eq!(config.source.path, ["./a", "../b/*.parquet"]);
    assert_eq!(config.pipeline.data_dir, Path::new("/pipelines/taxi/state/t"));
    assert_eq!(config.archive.path.folder(), Some(Path::new("/lake")));
}

#[test]
fn the_page_names_every_setting() {
    let known = "name data_dir drain_deadline path recursive watch event_time pace settle parallel_splits null_tokens drop from \
                 type formats time_zone on_bad trim case fill keep sql column check action key within missing added changed topic \
                 partitions flush_interval flush_bytes batch_rows batch_bytes max_record_bytes retention retention_bytes max_rows max_bytes \
                 partition_by commit_interval commit_bytes compact target_file_bytes history checkpoint_versions retention_by chart memory query_timeout query_rows http token users format brokers replication \
                 min_insync_replicas transaction_timeout session_timeout group foreign ca certificate key_password key_password_file \
                 verify_hostname mechanism username password password_file";
    let (_, reference) = PAGE.split_once("\n## ").unwrap();
    for key in known.split_whitespace() {
        assert!(reference.contains(&format!("`{key}`")), "{key}");
    }
}
