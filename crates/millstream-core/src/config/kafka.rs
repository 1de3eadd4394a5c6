//! `[stream.kafka]`: the cluster that takes the place of the embedded log, and how it is reached.
//!
//! Opens neither files nor connections: a secret that stands in a file is only named here.

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;
use super::reader::section::Section;
use super::reader::{Item, Text};
use super::sections::{is_local, resolve};

const BROKERS_FORM: &str = "host:port, several with commas between them, such as \"a:9092,b:9092\" or \"[::1]:9092\"";
const GROUP_FORM: &str = "1 to 255 printable ASCII letters without spaces";
const FILE_FORM: &str = "a path";
/// What a text in the PEM format begins with.
pub(super) const PEM: &str = "-----BEGIN";
const SECOND: Duration = Duration::from_secs(1);

/// `[stream.kafka]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    /// `brokers`: where the cluster is asked for first, as `host:port` with commas between, no spaces; at least one.
    pub brokers: String,
    /// `replication`: copies of the topics that Millstream makes, 1 to 10. None is the broker's default.
    pub replication: Option<u16>,
    /// `min_insync_replicas`: copies that must hold a record before it is acknowledged, of topics that Millstream makes; 1 to 10, at
    /// most `replication`. None is the broker's default.
    pub min_insync_replicas: Option<u16>,
    /// `transaction_timeout`: how long a transaction may be open before the broker aborts it. Default 60 s; 1 s to 15 min.
    pub transaction_timeout: Duration,
    /// `session_timeout`: how long a receiver of the group may be silent before others take its partitions. Default 45 s; 1 s to 5 min.
    pub session_timeout: Duration,
    /// `group`: consumer group of the receivers. Default `millstream-` and the pipeline's name; 1 to 255 printable ASCII.
    pub group: String,
    /// `foreign`: whether another program writes the topic, so that this pipeline only receives. Default false.
    pub foreign: bool,
    /// `[stream.kafka.tls]`; none is plain text.
    pub tls: Option<Tls>,
    /// `[stream.kafka.sasl]`; none is no login.
    pub sasl: Option<Sasl>,
}

/// `[stream.kafka.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// `ca`: file with the certificates (PEM) that the brokers' are signed by, absolute. None is the system's.
    pub ca: Option<PathBuf>,
    /// `certificate`: file with our certificate (PEM), absolute; there with `key` and only then.
    pub certificate: Option<PathBuf>,
    /// `key`: file with the key (PEM) of `certificate`, absolute.
    pub key: Option<PathBuf>,
    /// `key_password` or `key_password_file`: opens `key`. None means that it is not encrypted.
    pub key_password: Option<SecretSource>,
    /// `verify_hostname`: whether the brokers' certificates must name their hosts. Default true.
    pub verify_hostname: bool,
}

/// `[stream.kafka.sasl]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sasl {
    /// `mechanism`: how we log in.
    pub mechanism: SaslMechanism,
    /// `username`: not empty.
    pub username: String,
    /// `password` or `password_file`.
    pub password: SecretSource,
}

/// `mechanism`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// `PLAIN`: the broker gets the password itself; only over TLS or on loopback.
    Plain,
    /// `SCRAM-SHA-256`
    ScramSha256,
    /// `SCRAM-SHA-512`
    ScramSha512,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In the pipeline file, or in the environment that it names. Not empty, no zero byte.
    Value(Secret),
    /// In this file, absolute; not read yet.
    File(PathBuf),
}

/// What contradictions with other settings need to know; items are there if they are in the file, also when their value is wrong.
#[derive(Default)]
pub(super) struct Items<'d> {
    pub(super) section: Option<Item<'d>>,
    pub(super) foreign: Option<Item<'d>>,
    pub(super) tls: Option<Item<'d>>,
    /// `mechanism`, if it is `PLAIN`.
    pub(super) plain: Option<Item<'d>>,
    /// Whether `foreign` is true, or there and unreadable.
    pub(super) receives_only: bool,
}

pub(super) fn read_kafka<'d>(item: Option<Item<'d>>, base_dir: &Path, pipeline: &str) -> (Option<Kafka>, Items<'d>) {
    let Some(mut section) = item.as_ref().and_then(Item::section) else {
        return (None, Items { section: item, ..Items::default() });
    };
    let brokers = section.require("brokers", BROKERS_FORM).and_then(|item| brokers(&item.filled_text()?));
    let (replication, min_insync_replicas) = read_replicas(&mut section);
    let transaction_timeout = section.duration("transaction_timeout", SECOND * 60, SECOND..=SECOND * 900);
    let session_timeout = section.duration("session_timeout", SECOND * 45, SECOND..=SECOND * 300);
    let group = section.take("group").and_then(|item| item.text()).filter(is_group).map(|group| group.value);
    let foreign = section.take("foreign");
    let is_foreign = foreign.as_ref().and_then(Item::boolean);
    let tls = section.take("tls");
    let sasl = section.take("sasl").and_then(|item| item.section()).map(|section| read_sasl(section, base_dir));
    let (sasl, plain) = sasl.unzip();
    section.finish();
    let kafka = Kafka {
        brokers: brokers.unwrap_or_default(),
        replication,
        min_insync_replicas,
        transaction_timeout,
        session_timeout,
        group: group.unwrap_or_else(|| format!("millstream-{pipeline}")),
        foreign: is_foreign == Some(true),
        tls: tls.as_ref().and_then(Item::section).map(|section| read_tls(section, base_dir)),
        sasl,
    };
    let receives_only = foreign.is_some() && is_foreign != Some(false);
    (Some(kafka), Items { section: item, foreign, tls, plain: plain.flatten(), receives_only })
}

fn read_replicas(section: &mut Section<'_>) -> (Option<u16>, Option<u16>) {
    let number = |item: &Item<'_>| item.integer(1..=10).and_then(|number| u16::try_from(number).ok());
    let replication = section.take("replication").as_ref().and_then(number);
    let item = section.take("min_insync_replicas");
    let least = item.as_ref().and_then(number);
    if let (Some(item), Some(least), Some(replication)) = (item, least, replication)
        && least > replication
    {
        let problem = format!(
            "`stream.kafka.min_insync_replicas` ({least}) is more than `stream.kafka.replication` ({replication}), so that no record \
             could be acknowledged; lower the one or raise the other"
        );
        item.mistake(problem, None);
    }
    (replication, least)
}

fn read_tls(mut section: Section<'_>, base_dir: &Path) -> Tls {
    let ca = section.take("ca").and_then(|item| file(&item, base_dir));
    let certificate = section.take("certificate");
    let key = section.take("key");
    let key_password = read_secret(&mut section, "key_password", "key_password_file", base_dir);
    match (&certificate, &key) {
        (Some(certificate), None) => certificate.mistake(
            "`stream.kafka.tls.certificate` needs `stream.kafka.tls.key`, the file with its key; name that too, or leave both out",
            None,
        ),
        (None, Some(key)) => key.mistake(
            "`stream.kafka.tls.key` needs `stream.kafka.tls.certificate`, whose key it is; name that too, or leave both out",
            None,
        ),
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let (Some(password), None) = (&key_password.item, &key) {
        password.mistake(
            "there is no `stream.kafka.tls.key` for this password to open; name the key, or leave the password out",
            None,
        );
    }
    let verify_hostname = section.boolean("verify_hostname", true);
    section.finish();
    Tls {
        ca,
        certificate: certificate.and_then(|item| file(&item, base_dir)),
        key: key.and_then(|item| file(&item, base_dir)),
        key_password: key_password.source,
        verify_hostname,
    }
}

/// The login, and its mechanism's item if that is `PLAIN`.
fn read_sasl<'d>(mut section: Section<'d>, base_dir: &Path) -> (Sasl, Option<Item<'d>>) {
    let mechanisms = [
        ("PLAIN", SaslMechanism::Plain),
        ("SCRAM-SHA-256", SaslMechanism::ScramSha256),
        ("SCRAM-SHA-512", SaslMechanism::ScramSha512),
    ];
    let item = section.require("mechanism", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512");
    let mechanism = item.as_ref().and_then(|item| item.choice("mechanism", &mechanisms));
    let username = section.require("username", "the name to log in with").and_then(|item| item.filled_text());
    let password = read_secret(&mut section, "password", "password_file", base_dir);
    if password.item.is_none() {
        section.missing(
            "password",
            "a text, best from the environment as \"${KAFKA_PASSWORD}\", or a file as `password_file`",
        );
    }
    section.finish();
    let sasl = Sasl {
        mechanism: mechanism.unwrap_or(SaslMechanism::Plain),
        username: username.map(|text| text.value).unwrap_or_default(),
        password: password.source.unwrap_or_else(|| SecretSource::Value(Secret::new(String::new()))),
    };
    (sasl, item.filter(|_| mechanism == Some(SaslMechanism::Plain)))
}

pub(super) struct ReadSecret<'d> {
    /// Either of the two settings.
    item: Option<Item<'d>>,
    pub(super) source: Option<SecretSource>,
}

/// A secret that stands in the pipeline file or in a file of its own.
pub(super) fn read_secret<'d>(
    section: &mut Section<'d>,
    value_key: &'static str,
    file_key: &'static str,
    base_dir: &Path,
) -> ReadSecret<'d> {
    let (value_item, file_item) = (section.take(value_key), section.take(file_key));
    if let (Some(_), Some(item)) = (&value_item, &file_item) {
        item.mistake(format!("`{value_key}` and `{file_key}` are both there; leave one of them out"), None);
    }
    let value = value_item.as_ref().and_then(secret).map(SecretSource::Value);
    let from_file = file_item.as_ref().and_then(|item| file(item, base_dir)).map(SecretSource::File);
    ReadSecret { item: value_item.or(file_item), source: value.or(from_file) }
}

/// The text is never part of a message.
fn secret(item: &Item<'_>) -> Option<Secret> {
    let value = item.text()?.value;
    if value.is_empty() || value.contains('\0') {
        item.mistake("the secret is empty or has a zero byte in it", None);
        return None;
    }
    Some(Secret::new(value))
}

/// An absolute file of the local disk. A key that stands here itself is not shown.
pub(super) fn file(item: &Item<'_>, base_dir: &Path) -> Option<PathBuf> {
    let text = item.filled_text()?;
    if text.value.contains(PEM) {
        let problem = "this is a certificate or key itself; write it to a file and name that";
        text.mistake(problem, Some(FILE_FORM));
        return None;
    }
    is_local(&text, "reads").then(|| resolve(base_dir, &text.value))
}

fn is_group(text: &Text<'_>) -> bool {
    let fits = (1..=255).contains(&text.value.len()) && text.value.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        text.mistake(format!("`{}` is not a name of a group", text.shown()), Some(GROUP_FORM));
    }
    fits
}

/// The brokers without spaces. What is wrong with one is told by its place, for it may come from the environment.
fn brokers(text: &Text<'_>) -> Option<String> {
    let mut brokers = Vec::new();
    for (index, entry) in text.value.split(',').enumerate() {
        match parse_broker(entry.trim()) {
            Ok(broker) => brokers.push(broker),
            Err(problem) => {
                text.mistake(format!("broker {} {problem}", index + 1), Some(BROKERS_FORM));
                return None;
            }
        }
    }
    Some(brokers.join(","))
}

fn parse_broker(entry: &str) -> Result<String, &'static str> {
    if entry.is_empty() {
        return Err("is empty");
    }
    if entry.contains('@') {
        return Err("has a user or password in it; these go into `[stream.kafka.sasl]`");
    }
    if entry.contains("://") {
        return Err(
            "has a protocol in front; leave it out: `[stream.kafka.tls]` and `[stream.kafka.sasl]` say what is spoken",
        );
    }
    let (host, port) = entry.rsplit_once(':').ok_or("has no port")?;
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').ok_or("has no `]` before its port")?;
        address.parse::<Ipv6Addr>().map_err(|_| "has no IPv6 address between its brackets")?;
    } else if host.contains(':') {
        return Err("has several colons; an IPv6 address goes into brackets");
    } else if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Err("has no host of letters (a-z, A-Z), digits, `-`, `.`, `_`");
    }
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number > 0 => Ok(format!("{host}:{number}")),
        Ok(_) | Err(_) => Err("has no port from 1 to 65535"),
    }
}

/// Whether all brokers are on this machine.
pub(super) fn are_on_loopback(brokers: &str) -> bool {
    brokers.split(',').filter_map(|broker| broker.rsplit_once(':')).all(|(host, _)| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    })
}
