use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::config::{Format, Kafka, Sasl, SaslMechanism, Secret, SecretSource, Tls};

/// What is printed for a list of brokers.
fn errors_of_brokers(brokers: &str) -> String {
    errors_after_least(&format!("[stream.kafka]\nbrokers = {brokers}\n"))
}

fn kafka_of(text: &str) -> Kafka {
    parse(&format!("{LEAST}{text}")).stream.kafka.unwrap()
}

#[test]
fn without_the_section_the_log_is_embedded_and_records_are_arrow() {
    let stream = parse(LEAST).stream;
    assert_eq!((stream.format, stream.key.len(), stream.kafka), (Format::Arrow, 0, None));
    assert_eq!(parse(&format!("{LEAST}[stream]\nformat = \"arrow\"\n")).stream.format, Format::Arrow);
}

#[test]
fn brokers_alone_take_every_default() {
    let expected = Kafka {
        brokers: "host:9092".to_owned(),
        replication: None,
        min_insync_replicas: None,
        transaction_timeout: Duration::from_mins(1),
        session_timeout: Duration::from_secs(45),
        group: "millstream-taxi".to_owned(),
        foreign: false,
        tls: None,
        sasl: None,
    };
    assert_eq!(kafka_of("[stream.kafka]\nbrokers = \"host:9092\"\n"), expected);
}

#[test]
fn every_setting_is_read() {
    let text = r#"
[stream]
format = "json"
key = ["vendor_id", "zone"]
[stream.kafka]
brokers = "a.example.org:9093, [::1]:9093"
replication = 3
min_insync_replicas = 2
transaction_timeout = "6s"
session_timeout = "6s"
group = "team/taxi:1"
[stream.kafka.tls]
ca = "certificates/ca.pem"
certificate = "client.pem"
key = "/keys/client.key"
key_password_file = "key-password.txt"
verify_hostname = false
[stream.kafka.sasl]
mechanism = "SCRAM-SHA-512"
username = "ada"
password = "${PAGE_TOKEN}"
"#;
    let stream = parse(&format!("{LEAST}{text}")).stream;
    assert_eq!((stream.format, stream.key), (Format::Json, vec!["vendor_id".to_owned(), "zone".to_owned()]));
    let expected = Kafka {
        brokers: "a.example.org:9093,[::1]:9093".to_owned(),
        replication: Some(3),
        min_insync_replicas: Some(2),
        transaction_timeout: Duration::from_secs(6),
        session_timeout: Duration::from_secs(6),
        group: "team/taxi:1".to_owned(),
        foreign: false,
        tls: Some(Tls {
            ca: Some("/pipelines/taxi/certificates/ca.pem".into()),
            certificate: Some("/pipelines/taxi/client.pem".into()),
            key: Some("/keys/client.key".into()),
            key_password: Some(SecretSource::File("/pipelines/taxi/key-password.txt".into())),
            verify_hostname: false,
        }),
        sasl: Some(Sasl {
            mechanism: SaslMechanism::ScramSha512,
            username: "ada".to_owned(),
            password: SecretSource::Value(Secret::new("hunter2-from-the-environment".to_owned())),
        }),
    };
    assert_eq!(stream.kafka, Some(expected));
}

#[test]
fn an_empty_table_is_tls_with_the_certificates_of_the_system() {
    let tls = kafka_of("[stream.kafka]\nbrokers = \"a:1\"\n[stream.kafka.tls]\n").tls.unwrap();
    let expected = Tls { ca: None, certificate: None, key: None, key_password: None, verify_hostname: true };
    assert_eq!(tls, expected);
}

#[test]
fn brokers_are_brought_to_one_form() {
    for (written, brokers) in [
        ("a:9092", "a:9092"),
        (" a-1.b_c:1 ,\\t10.0.0.1:65535", "a-1.b_c:1,10.0.0.1:65535"),
        ("[2001:db8::1]:09092", "[2001:db8::1]:9092"),
    ] {
        assert_eq!(kafka_of(&format!("[stream.kafka]\nbrokers = \"{written}\"\n")).brokers, brokers);
    }
}

#[test]
fn a_broker_is_a_host_and_a_port() {
    assert_snapshot!(errors_of_brokers("\"a:9092, b\""), @r#"
    pipeline.toml:6:11: stream.kafka.brokers: broker 2 has no port; allowed: host:port, several with commas between them, such as "a:9092,b:9092" or "[::1]:9092"
      |
    6 | brokers = "a:9092, b"
      |           ^^^^^^^^^^^
    "#);
    for (brokers, problem) in [
        ("a:0", "broker 1 has no port from 1 to 65535"),
        ("a:65536", "broker 1 has no port from 1 to 65535"),
        ("a:+1", "broker 1 has no port from 1 to 65535"),
        ("a:", "broker 1 has no port from 1 to 65535"),
        ("a:1,", "broker 2 is empty"),
        (":9092", "broker 1 has no host of letters"),
        ("a b:9092", "broker 1 has no host of letters"),
        ("::1:9092", "broker 1 has several colons; an IPv6 address goes into brackets"),
        ("[::1:9092", "broker 1 has no `]` before its port"),
        ("[a]:9092", "broker 1 has no IPv6 address between its brackets"),
        ("SSL://a:9092", "broker 1 has a protocol in front; leave it out"),
        ("${PAGE_TOKEN}", "broker 1 has no port;"),
        ("${EMPTY}", "this is empty"),
    ] {
        let errors = errors_of_brokers(&format!("\"{brokers}\""));
        assert!(errors.contains(&format!("6:11: stream.kafka.brokers: {problem}")), "{brokers}: {errors}");
        assert!(errors.contains(brokers) && !errors.contains("hunter2"), "{brokers}: {errors}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_show_their_lines() {
    let text = "replication = 11\nmin_insync_replicas = 0\ntransaction_timeout = \"16m\"\nsession_timeout = \"500ms\"\n\
                group = \"a b\"\nforeign = \"yes\"\nbroker = \"a:1\"\n[stream.kafka.tls]\nverify = false\nca = \"s3://a/ca.pem\"\n\
                [stream.kafka.sasl]\nmechanism = \"GSSAPI\"\n";
    assert_snapshot!(errors_after_brokers(text), @r#"
    pipeline.toml:7:15: stream.kafka.replication: out of range; allowed: a whole number, 1 to 10
      |
    7 | replication = 11
      |               ^^

    pipeline.toml:8:23: stream.kafka.min_insync_replicas: out of range; allowed: a whole number, 1 to 10
      |
    8 | min_insync_replicas = 0
      |                       ^

    pipeline.toml:9:23: stream.kafka.transaction_timeout: out of range; allowed: 1s to 15m
      |
    9 | transaction_timeout = "16m"
      |                       ^^^^^

    pipeline.toml:10:19: stream.kafka.session_timeout: out of range; allowed: 1s to 5m
       |
    10 | session_timeout = "500ms"
       |                   ^^^^^^^

    pipeline.toml:11:9: stream.kafka.group: `a b` is not a name of a group; allowed: 1 to 255 printable ASCII letters without spaces
       |
    11 | group = "a b"
       |         ^^^^^

    pipeline.toml:12:11: stream.kafka.foreign: this is a text; allowed: true, false
       |
    12 | foreign = "yes"
       |           ^^^^^

    pipeline.toml:13:1: stream.kafka.broker: unknown key; did you mean `brokers`? allowed: brokers, replication, min_insync_replicas, transaction_timeout, session_timeout, group, foreign, tls, sasl
       |
    13 | broker = "a:1"
       | ^^^^^^

    pipeline.toml:15:1: stream.kafka.tls.verify: unknown key; allowed: ca, certificate, key, key_password, key_password_file, verify_hostname
       |
    15 | verify = false
       | ^^^^^^

    pipeline.toml:16:6: stream.kafka.tls.ca: Millstream reads this on the local disk only, not behind a URL; allowed: a path
       |
    16 | ca = "s3://a/ca.pem"
       |      ^^^^^^^^^^^^^^^

    pipeline.toml:17:1: stream.kafka.sasl.username: missing, and needed; allowed: the name to log in with
       |
    17 | [stream.kafka.sasl]
       | ^^^^^^^^^^^^^^^^^^^

    pipeline.toml:17:1: stream.kafka.sasl.password: missing, and needed; allowed: a text, best from the environment as "${KAFKA_PASSWORD}", or a file as `password_file`
       |
    17 | [stream.kafka.sasl]
       | ^^^^^^^^^^^^^^^^^^^

    pipeline.toml:18:13: stream.kafka.sasl.mechanism: unknown mechanism `GSSAPI`; allowed: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
       |
    18 | mechanism = "GSSAPI"
       |             ^^^^^^^^
    "#);
}

#[test]
fn the_sections_are_tables_and_brokers_are_needed() {
    assert_snapshot!(errors_after_least("[stream]\nkafka = true\nformat = \"json\"\n"), @r"
    pipeline.toml:6:9: stream.kafka: this is true or false; allowed: a table
      |
    6 | kafka = true
      |         ^^^^
    ");
    assert_snapshot!(errors_after_least("[stream.kafka]\ntls = true\n[stream.kafka.sasl]\n"), @r#"
    pipeline.toml:5:1: stream.kafka.brokers: missing, and needed; allowed: host:port, several with commas between them, such as "a:9092,b:9092" or "[::1]:9092"
      |
    5 | [stream.kafka]
      | ^^^^^^^^^^^^^^

    pipeline.toml:6:7: stream.kafka.tls: this is true or false; allowed: a table
      |
    6 | tls = true
      |       ^^^^

    pipeline.toml:7:1: stream.kafka.sasl.mechanism: missing, and needed; allowed: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
      |
    7 | [stream.kafka.sasl]
      | ^^^^^^^^^^^^^^^^^^^

    pipeline.toml:7:1: stream.kafka.sasl.username: missing, and needed; allowed: the name to log in with
      |
    7 | [stream.kafka.sasl]
      | ^^^^^^^^^^^^^^^^^^^

    pipeline.toml:7:1: stream.kafka.sasl.password: missing, and needed; allowed: a text, best from the environment as "${KAFKA_PASSWORD}", or a file as `password_file`
      |
    7 | [stream.kafka.sasl]
      | ^^^^^^^^^^^^^^^^^^^
    "#);
    assert_snapshot!(errors_after_least("[stream]\nformat = \"avro\"\nkey = []\nkafka = {}\n"), @r#"
    pipeline.toml:6:10: stream.format: unknown format `avro`; allowed: arrow, json
      |
    6 | format = "avro"
      |          ^^^^^^

    pipeline.toml:7:7: stream.key: this is empty; allowed: at least one column
      |
    7 | key = []
      |       ^^

    pipeline.toml:8:9: stream.kafka.brokers: missing, and needed; allowed: host:port, several with commas between them, such as "a:9092,b:9092" or "[::1]:9092"
      |
    8 | kafka = {}
      |         ^^
    "#);
}

#[test]
fn more_copies_cannot_be_in_sync_than_there_are() {
    assert_snapshot!(errors_after_brokers("replication = 1\nmin_insync_replicas = 2\n"), @r"
    pipeline.toml:8:23: stream.kafka.min_insync_replicas: `stream.kafka.min_insync_replicas` (2) is more than `stream.kafka.replication` (1), so that no record could be acknowledged; lower the one or raise the other
      |
    8 | min_insync_replicas = 2
      |                       ^
    ");
    assert_eq!(kafka_of("[stream.kafka]\nbrokers = \"a:1\"\nmin_insync_replicas = 2\n").min_insync_replicas, Some(2));
}

#[test]
fn a_certificate_goes_with_its_key() {
    assert_snapshot!(errors_after_brokers("[stream.kafka.tls]\ncertificate = \"a.pem\"\nkey_password = \"hunter2\"\n"), @r#"
    pipeline.toml:8:15: stream.kafka.tls.certificate: `stream.kafka.tls.certificate` needs `stream.kafka.tls.key`, the file with its key; name that too, or leave both out
      |
    8 | certificate = "a.pem"
      |               ^^^^^^^

    pipeline.toml:9:16: stream.kafka.tls.key_password: there is no `stream.kafka.tls.key` for this password to open; name the key, or leave the password out
      |
    9 | key_password = ***
      |                ^^^
    "#);
    assert_snapshot!(errors_after_brokers("[stream.kafka.tls]\nkey = \"a.key\"\n"), @r#"
    pipeline.toml:8:7: stream.kafka.tls.key: `stream.kafka.tls.key` needs `stream.kafka.tls.certificate`, whose key it is; name that too, or leave both out
      |
    8 | key = "a.key"
      |       ^^^^^^^
    "#);
}

#[test]
fn a_password_stands_in_one_place() {
    let login = "[stream.kafka.sasl]\nmechanism = \"PLAIN\"\nusername = \"ada\"\n";
    assert_snapshot!(errors_after_brokers(login), @r#"
    pipeline.toml:7:1: stream.kafka.sasl.password: missing, and needed; allowed: a text, best from the environment as "${KAFKA_PASSWORD}", or a file as `password_file`
      |
    7 | [stream.kafka.sasl]
      | ^^^^^^^^^^^^^^^^^^^
    "#);
    let both = format!("{login}password = \"hunter2\"\npassword_file = \"password.txt\"\n");
    assert_snapshot!(errors_after_brokers(&both), @r"
    pipeline.toml:11:17: stream.kafka.sasl.password_file: `password` and `password_file` are both there; leave one of them out
       |
    11 | password_file = ***
       |                 ^^^
    ");
    assert_snapshot!(errors_after_brokers(&format!("{login}password = \"${{EMPTY}}\"\n")), @r#"
    pipeline.toml:10:12: stream.kafka.sasl.password: the secret is empty or has a zero byte in it
       |
    10 | password = ***
       |            ^^^
    "#);
    assert!(errors_after_brokers(&format!("{login}password = \"a\\u0000\"\n")).contains("has a zero byte in it"));
    let key = "[stream.kafka.tls]\ncertificate = \"a\"\nkey = \"b\"\nkey_password = \"c\"\nkey_password_file = \"d\"\n";
    assert!(errors_after_brokers(key).contains("`key_password` and `key_password_file` are both there"));
}

#[test]
fn a_plain_password_goes_to_this_machine_or_over_tls() {
    let login = |mechanism: &str| {
        format!("[stream.kafka.sasl]\nmechanism = \"{mechanism}\"\nusername = \"ada\"\npassword_file = \"p\"\n")
    };
    let to = |brokers: &str| format!("[stream.kafka]\nbrokers = \"{brokers}\"\n");
    assert_snapshot!(errors_after_least(&(to("localhost:9092,host:9092") + &login("PLAIN"))), @r#"
    pipeline.toml:8:13: stream.kafka.sasl.mechanism: `stream.kafka.sasl.mechanism = "PLAIN"` would send the password in plain text, for `stream.kafka.brokers` are not all on this machine; add `[stream.kafka.tls]`
      |
    8 | mechanism = "PLAIN"
      |             ^^^^^^^
    "#);
    for brokers in ["10.0.0.1:1", "[2001:db8::1]:1", "localhost.example.org:1"] {
        assert!(errors_after_least(&(to(brokers) + &login("PLAIN"))).contains("plain text"), "{brokers}");
    }
    for text in [
        to("localhost:1, 127.1.2.3:1,[::1]:1,LOCALHOST:2") + &login("PLAIN"),
        to("host:9092") + "[stream.kafka.tls]\n" + &login("PLAIN"),
        to("host:9092") + &login("SCRAM-SHA-256"),
    ] {
        assert!(kafka_of(&text).sasl.is_some());
    }
    let wrong = to("host") + "tls = 1\n" + &login("PLAIN");
    assert!(!errors_after_least(&wrong).contains("plain text"));
}

#[test]
fn format_and_key_are_for_kafka_and_the_size_of_the_log_is_not() {
    assert_snapshot!(errors_after_least("[stream]\nformat = \"json\"\nkey = \"vendor_id\"\n"), @r#"
    pipeline.toml:6:10: stream.format: `stream.format = "json"` is for other consumers of a topic, and the embedded log has none; add `[stream.kafka]`, or leave `format` out
      |
    6 | format = "json"
      |          ^^^^^^

    pipeline.toml:7:7: stream.key: `stream.key` puts rows into partitions of Kafka, and the embedded log has no keys; add `[stream.kafka]`, or leave `key` out
      |
    7 | key = "vendor_id"
      |       ^^^^^^^^^^^
    "#);
    assert_snapshot!(errors_after_least("[stream]\nretention_bytes = \"1GiB\"\nkafka = { brokers = \"a:1\" }\n"), @r#"
    pipeline.toml:6:19: stream.retention_bytes: `stream.retention_bytes` is of the embedded log, and `[stream.kafka]` takes its place; leave one of them out (`stream.retention` holds for both)
      |
    6 | retention_bytes = "1GiB"
      |                   ^^^^^^
    "#);
}

#[test]
fn the_key_names_columns_that_cleaning_leaves() {
    let text = "[clean]\ndrop = [\"a\"]\n[clean.columns]\nb = { from = [\"c\"] }\n[stream]\nkey = [\"a\", \"b\", \"c\", \"_row\", \"b\", \"x\"]\n\
                [stream.kafka]\nbrokers = \"a:1\"\n";
    assert_snapshot!(errors_after_least(text), @r#"
    pipeline.toml:10:8: stream.key[0]: `a` is left out by `clean.drop`; take it out of there or name another column here
       |
    10 | key = ["a", "b", "c", "_row", "b", "x"]
       |        ^^^

    pipeline.toml:10:18: stream.key[2]: `c` is called `b` after cleaning (`clean.columns`); write `b` here
       |
    10 | key = ["a", "b", "c", "_row", "b", "x"]
       |                  ^^^

    pipeline.toml:10:23: stream.key[3]: `_row`: names that begin with `_` are ours and no column of the source
       |
    10 | key = ["a", "b", "c", "_row", "b", "x"]
       |                       ^^^^^^

    pipeline.toml:10:31: stream.key[4]: `b` is in the key twice; take one out
       |
    10 | key = ["a", "b", "c", "_row", "b", "x"]
       |                               ^^^
    "#);
    assert_snapshot!(errors_after_brokers("[stream]\nkey = 1\n"), @r"
    pipeline.toml:8:7: stream.key: this is neither a text nor a list; allowed: a column, or a list of them
      |
    8 | key = 1
      |       ^
    ");
}

/// A pipeline whose topic another program writes.
const FOREIGN: &str =
    "[pipeline]\nname = \"taxi\"\n[stream]\nformat = \"json\"\nkafka = { brokers = \"a:1\", foreign = true }\n";

#[test]
fn a_foreign_topic_takes_the_place_of_a_source() {
    let text =
        "[source]\nevent_time = \"at\"\n[clean.columns]\nat = { type = \"timestamp\" }\nn = { type = \"int64\" }\n";
    let config = parse(&format!("{FOREIGN}{text}"));
    assert!(config.source.path.is_empty() && config.stream.kafka.unwrap().foreign);
    assert_eq!(config.source.event_time.as_deref(), Some("at"));
    parse(&format!("{FOREIGN}[clean.columns]\nn = {{ type = \"int64\" }}\n"));
}

#[test]
fn a_foreign_topic_needs_typed_columns_and_no_settings_of_files() {
    let text = "key = \"n\"\n[source]\npath = \"a\"\nwatch = true\n[clean.columns]\nn = {}\nm = { type = \"text\" }\n";
    let arrow = FOREIGN.replace("format = \"json\"\n", "");
    assert_snapshot!(errors_of(&format!("{arrow}{text}")), @r#"
    pipeline.toml:4:38: stream.kafka.foreign: `stream.kafka.foreign` needs `stream.format = "json"`, the one format that is read from other programs; set it, or leave `foreign` out
      |
    4 | kafka = { brokers = "a:1", foreign = true }
      |                                      ^^^^

    pipeline.toml:5:7: stream.key: `stream.key` puts rows into partitions, and with `stream.kafka.foreign` another program does that; leave one of them out
      |
    5 | key = "n"
      |       ^^^

    pipeline.toml:7:8: source.path: `source.path` is about files, and with `stream.kafka.foreign` the rows come from a topic; leave one of them out
      |
    7 | path = "a"
      |        ^^^

    pipeline.toml:8:9: source.watch: `source.watch` is about files, and with `stream.kafka.foreign` the rows come from a topic; leave one of them out
      |
    8 | watch = true
      |         ^^^^

    pipeline.toml:10:1: clean.columns.n: `stream.kafka.foreign` needs a `type` for every column here, for the JSON of another program has none; add `type`; allowed: int8, int16, int32, int64, float32, float64, decimal(p,s) with p 1 to 38 and s 0 to p, boolean, string, binary, date, timestamp
       |
    10 | n = {}
       | ^

    pipeline.toml:11:14: clean.columns.m.type: `text` is not a type; allowed: int8, int16, int32, int64, float32, float64, decimal(p,s) with p 1 to 38 and s 0 to p, boolean, string, binary, date, timestamp
       |
    11 | m = { type = "text" }
       |              ^^^^^^
    "#);
    assert_snapshot!(errors_of(FOREIGN), @r#"
    pipeline.toml:5:38: stream.kafka.foreign: `stream.kafka.foreign` needs `[clean.columns]`: it says which columns the JSON of another program has, and their types; declare at least one there
      |
    5 | kafka = { brokers = "a:1", foreign = true }
      |                                      ^^^^
    "#);
}

#[test]
fn without_a_foreign_topic_a_source_is_needed_as_ever() {
    assert_snapshot!(errors_of(&FOREIGN.replace("true", "false")), @"pipeline.toml:1:1: source.path: missing, and needed; allowed: a file, glob or directory, or a list of them");
    assert_snapshot!(errors_of(&FOREIGN.replace("true", "1")), @r#"
    pipeline.toml:5:38: stream.kafka.foreign: this is a whole number; allowed: true, false
      |
    5 | kafka = { brokers = "a:1", foreign = 1 }
      |                                      ^
    "#);
}
