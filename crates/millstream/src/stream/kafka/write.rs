//! Transactions: what an append carries becomes visible at once or never. Blocks, never for long: whoever waits asks again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millstream_core::dedup::ForgottenSlice;
use millstream_core::ids::{Offset, TopicPartition};
use millstream_core::progress::Offsets;
use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::client::Client;
use super::error::{KafkaLogError, Kind};
use super::health::{Health, log_line};
use super::progress::{INSTANCE_KEY, LAYOUT_KEY, Layout, PUBLISHER_KEY, chunk_key, file_key, partition, schema_key};
use super::settings::{CALL_TIMEOUT, LAYOUT_PARTITION, MAX_PUBLISHERS};
use crate::stream::Append;

/// Key of records that are aborted at once; nobody ever sees them.
const SWEEP_KEY: &[u8] = b"sweep";

/// Name of the header with the facts of a record.
pub(super) const HEADER: &str = "millstream";

/// One message of a transaction.
struct Outgoing<'a> {
    topic: &'a str,
    partition: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Option<OwnedHeaders>,
    timestamp_millis: Option<i64>,
    /// Where it goes, if its offset is wanted.
    at: Option<TopicPartition>,
}

/// How far a commit or an abort came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is done.
    Done,
    /// Nobody knows yet: ask again.
    Again,
}

/// A producer with a transactional id, past its `init_transactions`.
pub(super) struct Writer {
    producer: BaseProducer<WriterContext>,
    client: Arc<Client>,
    /// Its transactional id.
    id: String,
}

impl Writer {
    /// Takes the transactional id from whoever had it, and ends the transaction that it left open. Blocks.
    pub(super) fn open(client: &Arc<Client>, id: &str) -> Result<Self, KafkaLogError> {
        let context =
            WriterContext { health: Arc::clone(&client.health), ends: Mutex::default(), failed: Mutex::default() };
        let producer: BaseProducer<WriterContext> = client
            .settings
            .producer(id)
            .create_with_context(context)
            .map_err(|error| client.settings.unusable(&error))?;
        let writer = Self { producer, client: Arc::clone(client), id: id.to_owned() };
        for _ in 0..INIT_TRIES {
            match writer.producer.init_transactions(CALL_TIMEOUT) {
                Ok(()) => {
                    client.health.good();
                    // Topics that the client has not heard of would be looked for once a second only.
                    drop(writer.producer.client().fetch_metadata(None, CALL_TIMEOUT));
                    return Ok(writer);
                }
                Err(error) => match Verdict::of(&error) {
                    Verdict::Again => client.health.bad(&error.to_string()),
                    Verdict::Abort | Verdict::Over => return Err(writer.error("begin to publish", error)),
                },
            }
        }
        Err(client.unreachable())
    }

    /// Ends what an earlier transaction of this id left open in any partition that publisher `index` writes. Blocks.
    ///
    /// A broker that was killed may forget, when it comes back, to put the markers of a transaction that it ends into some
    /// partitions (Kafka 4.4.0: `TransactionMarkerChannelManager` skips partitions that have no leader at that moment). The next
    /// commit of the same id would then commit these leftovers, too. So before anything is read or committed: one transaction
    /// that reaches every partition, and is aborted.
    pub(super) fn sweep(&self, index: u32) -> Result<(), KafkaLogError> {
        let (settings, names) = (&self.client.settings, &self.client.settings.names);
        let mut partitions: Vec<(&str, u32)> =
            (0..settings.partitions).map(|number| (names.rows.as_str(), number)).collect();
        partitions.extend([(names.rejects.as_str(), 0), (names.progress.as_str(), index)]);
        if settings.has_dedup && index < MAX_PUBLISHERS {
            partitions.push((&names.dedup, index));
        }
        self.sweep_partitions(&partitions)
    }

    /// As [`Self::sweep`], for the partitions of progress.
    pub(super) fn sweep_progress(&self) -> Result<(), KafkaLogError> {
        let progress = &self.client.settings.names.progress;
        let partitions: Vec<(&str, u32)> = (0..=LAYOUT_PARTITION).map(|number| (progress.as_str(), number)).collect();
        self.sweep_partitions(&partitions)
    }

    fn sweep_partitions(&self, partitions: &[(&str, u32)]) -> Result<(), KafkaLogError> {
        self.begin()?;
        for &(topic, number) in partitions {
            self.put(Outgoing::plain(topic, partition(number), SWEEP_KEY, None))?;
        }
        for _ in 0..INIT_TRIES {
            self.deliver();
            if self.producer.in_flight_count() == 0 || self.producer.context().has_failed() {
                break;
            }
            self.client.health.bad("no answer");
        }
        if let Some(refused) = self.refused() {
            return Err(refused);
        }
        for _ in 0..INIT_TRIES {
            if self.abort()? == Step::Done {
                return Ok(());
            }
        }
        Err(self.client.unreachable())
    }

    /// Begins a transaction and sends all of an append on its way.
    pub(super) fn send(&self, append: &Append, publisher: u32, now_millis: i64) -> Result<(), KafkaLogError> {
        self.begin()?;
        let names = &self.client.settings.names;
        for record in &append.records {
            let facts = serde_json::to_vec(&record.header).unwrap_or_default();
            self.put(Outgoing {
                topic: names.of(record.at.topic),
                partition: partition(record.at.partition),
                key: record.key.as_deref(),
                value: Some(&record.value),
                headers: Some(OwnedHeaders::new_with_capacity(1).insert(Header { key: HEADER, value: Some(&facts) })),
                timestamp_millis: Some(now_millis),
                at: Some(record.at),
            })?;
        }
        if let Some(progress) = &append.publisher {
            self.put_progress(publisher, PUBLISHER_KEY, Some(&to_json(progress)))?;
        }
        for file in &append.files {
            self.put_progress(publisher, &file_key(&file.file), Some(&to_json(file)))?;
        }
        for (name, schema) in &append.schemas {
            self.put_progress(publisher, &schema_key(name), Some(schema))?;
        }
        let keys = |id, value| self.put(Outgoing::plain(&names.dedup, partition(publisher), &chunk_key(id), value));
        for id in append.dedup.forgotten.iter().copied().flat_map(ForgottenSlice::ids) {
            keys(id, None)?;
        }
        for chunk in &append.dedup.chunks {
            keys(chunk.id, Some(&chunk.value))?;
        }
        Ok(())
    }

    /// Begins a transaction.
    pub(super) fn begin(&self) -> Result<(), KafkaLogError> {
        self.producer.context().ends.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.producer.context().failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.producer.begin_transaction().map_err(|error| self.error("begin a transaction", error))
    }

    /// Puts one entry of the topic of progress in the open transaction; without a value the key is forgotten.
    pub(super) fn put_progress(&self, publisher: u32, key: &str, value: Option<&[u8]>) -> Result<(), KafkaLogError> {
        self.put(Outgoing::plain(&self.client.settings.names.progress, partition(publisher), key.as_bytes(), value))
    }

    pub(super) fn put_layout(&self, layout: &Layout) -> Result<(), KafkaLogError> {
        self.put_progress(LAYOUT_PARTITION, LAYOUT_KEY, Some(&to_json(layout)))
    }

    pub(super) fn put_instance(&self, publisher: u32, instance: &str) -> Result<(), KafkaLogError> {
        self.put_progress(publisher, INSTANCE_KEY, Some(instance.as_bytes()))
    }

    fn put(&self, message: Outgoing<'_>) -> Result<(), KafkaLogError> {
        let mut record: BaseRecord<'_, [u8], [u8], Box<Option<TopicPartition>>> =
            BaseRecord::with_opaque_to(message.topic, Box::new(message.at)).partition(message.partition);
        record.key = message.key;
        record.payload = message.value;
        record.headers = message.headers;
        record.timestamp = message.timestamp_millis;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), same)) => {
                    // Delivered messages make room; those that cannot be delivered time out and do so, too.
                    self.producer.poll(Duration::from_millis(20));
                    record = same;
                }
                Err((error, _)) => {
                    let error = self.error(&format!("send to the topic `{}`", message.topic), error);
                    return Err(error);
                }
            }
        }
    }

    /// Tries to bring the transaction to its end. An error means that nothing of it will ever be seen (after the caller's
    /// [`Self::abort`]) or that nobody knows, and the progress on Kafka decides.
    pub(super) fn commit(&self) -> Result<Step, KafkaLogError> {
        self.deliver();
        match self.producer.commit_transaction(CALL_TIMEOUT) {
            Ok(()) => {
                self.client.health.good();
                Ok(Step::Done)
            }
            Err(error) => match Verdict::of(&error) {
                Verdict::Again => {
                    self.client.health.bad(&error.to_string());
                    Ok(Step::Again)
                }
                Verdict::Abort => Err(self.refused().unwrap_or_else(|| KafkaLogError::Aborted {
                    reason: self.client.health.heard(&error.to_string()),
                })),
                Verdict::Over => Err(self.error("commit a transaction", error)),
            },
        }
    }

    /// Waits until what was sent is delivered, or a while. The library's own flush looks every 100 ms only; and its poll, given a
    /// time, spins through the last millisecond of it, which was an eighth of all processor time over Kafka.
    fn deliver(&self) {
        let began = Instant::now();
        loop {
            let waiting = self.producer.in_flight_count();
            if waiting == 0 || began.elapsed() >= CALL_TIMEOUT {
                return;
            }
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() == waiting {
                std::thread::sleep(LOOK_PAUSE);
            }
        }
    }

    /// Why the broker will never take what was sent; none where another try may help.
    fn refused(&self) -> Option<KafkaLogError> {
        let failed = self.producer.context().failed.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let Failed { topic, code, bytes } = failed;
        if Kind::of_code(code) == Kind::Right {
            let right = format!("Write on the topic `{topic}`");
            return Some(self.client.not_permitted(format!("write to the topic `{topic}`"), right, &code));
        }
        let is_too_large =
            matches!(code, RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge);
        is_too_large.then(|| KafkaLogError::Topic {
            topic,
            problem: format!(
                "does not take a record of {bytes} bytes ({code}): raise its `max.message.bytes`, or lower `stream.max_record_bytes`"
            ),
        })
    }

    /// Tries to give up the transaction.
    pub(super) fn abort(&self) -> Result<Step, KafkaLogError> {
        match self.producer.abort_transaction(CALL_TIMEOUT) {
            Ok(()) => Ok(Step::Done),
            Err(error) => match Verdict::of(&error) {
                Verdict::Again => Ok(Step::Again),
                Verdict::Abort | Verdict::Over => Err(self.error("abort a transaction", error)),
            },
        }
    }

    /// Offsets behind the last record of each partition that got one in the transaction that was committed last.
    pub(super) fn ends(&self) -> Offsets {
        self.producer.context().ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn error(&self, operation: &str, source: KafkaError) -> KafkaLogError {
        let reason = |source: &KafkaError| {
            let fatal = self.producer.client().fatal_error().map(|(_, reason)| reason);
            fatal.unwrap_or_else(|| source.to_string())
        };
        match Kind::of(&source) {
            Kind::Fenced => KafkaLogError::Fenced { reason: reason(&source) },
            Kind::Right => {
                let is_id = source.rdkafka_error_code() == Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed);
                let right = if is_id {
                    format!("Write on the transactional id `{}`", self.id)
                } else {
                    format!("Write on the topics that begin with `{}`", self.client.settings.names.rows)
                };
                self.client.not_permitted(operation, right, &reason(&source))
            }
            Kind::Login => KafkaLogError::Login {
                brokers: self.client.settings.brokers(),
                reason: self.client.health.heard(&source.to_string()),
            },
            Kind::Passing | Kind::NoTopic | Kind::NoOffset => {
                if self.producer.client().fatal_error().is_some_and(|(code, _)| Kind::of_code(code) == Kind::Fenced) {
                    return KafkaLogError::Fenced { reason: reason(&source) };
                }
                self.client.failed(operation, source)
            }
        }
    }
}

/// Between two looks for deliveries.
const LOOK_PAUSE: Duration = Duration::from_micros(500);

/// How often a transactional id is asked for, each time for [`CALL_TIMEOUT`].
const INIT_TRIES: u32 = 6;

/// What is to be done after an error of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Ask again.
    Again,
    /// Give the transaction up.
    Abort,
    /// This producer is of no use any more.
    Over,
}

impl Verdict {
    /// As librdkafka tells errors apart.
    #[allow(clippy::wildcard_enum_match_arm, reason = "errors of librdkafka, which grow")]
    fn of(error: &KafkaError) -> Self {
        match error {
            KafkaError::Transaction(error) if error.is_fatal() => Self::Over,
            KafkaError::Transaction(error) if error.txn_requires_abort() => Self::Abort,
            KafkaError::Transaction(error) if error.is_retriable() => Self::Again,
            // The commit was not asked for yet: messages are still on their way.
            KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => Self::Again,
            _ => Self::Over,
        }
    }
}

impl<'a> Outgoing<'a> {
    fn plain(topic: &'a str, partition: i32, key: &'a [u8], value: Option<&'a [u8]>) -> Self {
        Self { topic, partition, key: Some(key), value, headers: None, timestamp_millis: None, at: None }
    }
}

/// Keeps the offsets that the broker gave.
pub(super) struct WriterContext {
    health: Arc<Health>,
    ends: Mutex<BTreeMap<TopicPartition, Offset>>,
    /// The first message that was not delivered.
    failed: Mutex<Option<Failed>>,
}

/// A message that was not delivered.
struct Failed {
    topic: String,
    code: RDKafkaErrorCode,
    bytes: usize,
}

impl WriterContext {
    fn has_failed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// The topic that a line of librdkafka's log says must not be written: a partition that is refused to a transaction leaves its
/// messages undelivered for a reason that is told nowhere else.
fn refused_topic<'m>(facility: &str, message: &'m str) -> Option<&'m str> {
    let is_refusal = facility == "ADDPARTS" && message.contains("authorization failed");
    message.split('"').nth(1).filter(|_| is_refusal)
}

impl ClientContext for WriterContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(topic) = refused_topic(facility, message) {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            let code = RDKafkaErrorCode::TopicAuthorizationFailed;
            failed.get_or_insert_with(|| Failed { topic: topic.to_owned(), code, bytes: 0 });
        }
        log_line(&self.health, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ProducerContext for WriterContext {
    type DeliveryOpaque = Box<Option<TopicPartition>>;

    fn delivery(&self, result: &DeliveryResult<'_>, at: Self::DeliveryOpaque) {
        let message = match result {
            Ok(message) => message,
            // It makes the commit fail, which is where it is told.
            Err((error, message)) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                let (topic, bytes) = (message.topic().to_owned(), message.payload_len());
                failed.get_or_insert(Failed { topic, code, bytes });
                return;
            }
        };
        let Some(at) = *at else { return };
        let end = Offset(u64::try_from(message.offset()).unwrap_or_default()).next();
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ends.entry(at).or_default();
        *known = end.max(*known);
    }
}

/// These types hold only numbers, texts and lists: serializing them cannot fail.
fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::refused_topic;

    #[test]
    fn a_topic_that_is_refused_to_a_transaction_is_found_in_the_log_of_the_library() {
        let line = "[thrd:main]: TxnCoordinator/0: Failed to add partition \"taxi.progress\" [3] to transaction: Broker: Topic authorization failed";
        assert_eq!(refused_topic("ADDPARTS", line), Some("taxi.progress"));
        assert_eq!(refused_topic("ADDPARTS", "partition \"taxi\" [0]: Broker: Operation not attempted"), None);
        assert_eq!(refused_topic("FAIL", line), None);
    }
}
