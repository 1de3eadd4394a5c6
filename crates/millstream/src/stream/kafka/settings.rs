//! How clients of librdkafka are set up, and what the topics of a pipeline are called.

use std::path::Path;
use std::time::Duration;

use millstream_core::config::{Config, Format, Kafka, SaslMechanism, SecretSource};
use millstream_core::ids::{Topic, TopicPartition};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use super::error::KafkaLogError;
use crate::secret::{self, Unreadable};

/// The most publishers of a stream; each has a partition of its own in the topics of progress and dedup.
pub(crate) const MAX_PUBLISHERS: u32 = 16;

/// Partition of the topic of progress with the layout of the stream; the last.
pub(super) const LAYOUT_PARTITION: u32 = MAX_PUBLISHERS;

/// What a consumer keeps in memory at most.
const FETCH_QUEUE_KIB: u64 = 32 * 1024;

/// Room for key and headers of a record beside its value.
pub(super) const RECORD_ROOM_BYTES: u64 = 64 * 1024;

/// The topics of a pipeline.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) rows: String,
    pub(super) rejects: String,
    pub(super) progress: String,
    pub(super) dedup: String,
}

impl Names {
    /// Name of one of the two topics of rows.
    pub(super) fn of(&self, topic: Topic) -> &str {
        match topic {
            Topic::Rows => &self.rows,
            Topic::Rejects => &self.rejects,
        }
    }

    /// Which partition of which of the two topics of rows; none for another topic.
    pub(super) fn at(&self, topic: &str, partition: i32) -> Option<TopicPartition> {
        let partition = u32::try_from(partition).ok()?;
        let topic = match topic {
            name if name == self.rows => Topic::Rows,
            name if name == self.rejects => Topic::Rejects,
            _ => return None,
        };
        Some(TopicPartition { topic, partition })
    }
}

/// What every client of a pipeline needs. Holds secrets: never printed.
pub(super) struct Settings {
    pub(super) kafka: Kafka,
    pub(super) names: Names,
    pub(super) partitions: u32,
    pub(super) has_dedup: bool,
    pub(super) max_record_bytes: u64,
    flush_bytes: u64,
    format: Format,
    base: ClientConfig,
}

impl Settings {
    /// Reads the files with secrets. Blocks.
    pub(super) fn new(config: &Config, kafka: &Kafka) -> Result<Self, KafkaLogError> {
        let topic = &config.stream.topic;
        let names = Names {
            rows: topic.clone(),
            rejects: format!("{topic}.rejects"),
            progress: format!("{topic}.progress"),
            dedup: format!("{topic}.dedup"),
        };
        Ok(Self {
            names,
            partitions: config.stream.partitions.get(),
            has_dedup: config.clean.dedup.is_some(),
            max_record_bytes: config.stream.max_record_bytes,
            flush_bytes: config.stream.flush_bytes,
            format: config.stream.format,
            base: base(kafka)?,
            kafka: kafka.clone(),
        })
    }

    /// Address as in the pipeline file.
    pub(super) fn brokers(&self) -> String {
        self.kafka.brokers.clone()
    }

    /// Whom Kafka takes us for, in words.
    pub(super) fn principal(&self) -> String {
        let certificate = self.kafka.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        match (&self.kafka.sasl, certificate) {
            (Some(sasl), _) => format!("user `{}`", sasl.username),
            (None, Some(certificate)) => format!("the user of the certificate `{}`", certificate.display()),
            (None, None) => "users without login".to_owned(),
        }
    }

    /// That a client cannot be made.
    pub(super) fn unusable(&self, error: &KafkaError) -> KafkaLogError {
        let text = error.to_string();
        let tls = self.kafka.tls.as_ref();
        let key = tls.and_then(|tls| tls.key.as_ref()).filter(|_| text.contains("ssl.key"));
        let reason = match (key, tls.is_some_and(|tls| tls.key_password.is_some())) {
            (Some(key), true) => {
                format!(
                    "the key `{}` cannot be opened: is `stream.kafka.tls.key_password` right? ({text})",
                    key.display()
                )
            }
            (Some(key), false) => format!(
                "the key `{}` cannot be opened: if it is encrypted, set `stream.kafka.tls.key_password` ({text})",
                key.display()
            ),
            (None, _) => text,
        };
        KafkaLogError::Settings { reason }
    }

    /// A client that asks and administrates.
    pub(super) fn client(&self) -> ClientConfig {
        self.base.clone()
    }

    /// A producer with a transactional id.
    pub(super) fn producer(&self, transactional_id: &str) -> ClientConfig {
        let mut client = self.base.clone();
        let timeout_millis = self.kafka.transaction_timeout.as_millis().to_string();
        client
            .set("transactional.id", transactional_id)
            .set("transaction.timeout.ms", &timeout_millis)
            // What is not delivered by then will not be: the transaction is gone.
            .set("message.timeout.ms", &timeout_millis)
            .set("linger.ms", "2")
            // `max.message.bytes` of a topic limits batches, which are no larger than the largest record.
            .set("batch.size", (self.max_record_bytes + RECORD_ROOM_BYTES).to_string())
            // An Arrow value is compressed already.
            .set("compression.codec", if self.format == Format::Json { "lz4" } else { "none" })
            .set("queue.buffering.max.kbytes", (64 * 1024 + 2 * self.flush_bytes / 1024).to_string())
            .set("queue.buffering.max.messages", "1000000");
        client
    }

    /// A consumer that sees what is committed and never chooses an offset by itself.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut client = self.base.clone();
        client
            .set("group.id", &self.kafka.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.error.backoff.ms", "100")
            .set("queued.max.messages.kbytes", FETCH_QUEUE_KIB.to_string())
            .set("session.timeout.ms", self.kafka.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", (self.kafka.session_timeout.as_millis() / 4).max(100).to_string());
        client
    }
}

fn base(kafka: &Kafka) -> Result<ClientConfig, KafkaLogError> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &kafka.brokers)
        .set("client.id", "millstream")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("retry.backoff.ms", "50")
        .set("retry.backoff.max.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "30000");
    let protocol = match (&kafka.tls, &kafka.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    client.set("security.protocol", protocol);
    if let Some(tls) = &kafka.tls {
        let files = [
            ("ssl.ca.location", &tls.ca),
            ("ssl.certificate.location", &tls.certificate),
            ("ssl.key.location", &tls.key),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                readable(file)?;
                client.set(name, file.display().to_string());
            }
        }
        if let Some(password) = &tls.key_password {
            client.set("ssl.key.password", reveal(password)?);
        }
        let identification = if tls.verify_hostname { "https" } else { "none" };
        client.set("ssl.endpoint.identification.algorithm", identification);
    }
    if let Some(sasl) = &kafka.sasl {
        let mechanism = match sasl.mechanism {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        client
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", &sasl.username)
            .set("sasl.password", reveal(&sasl.password)?);
    }
    Ok(client)
}

fn readable(path: &Path) -> Result<(), KafkaLogError> {
    let opened = std::fs::File::open(path);
    opened.map(drop).map_err(|source| KafkaLogError::Secret { path: path.display().to_string(), source })
}

fn reveal(secret: &SecretSource) -> Result<String, KafkaLogError> {
    secret::reveal(secret).map_err(|Unreadable { path, source }| KafkaLogError::Secret { path, source })
}

/// How long one blocking call of librdkafka may take; whoever wants to wait longer asks again.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
