//! Reading records as they come, from offsets that the caller names. Blocks, never for long: whoever waits asks again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use millstream_core::ids::{Offset, TopicPartition};
use millstream_core::progress::Offsets;
use millstream_core::record::{RecordHeader, json};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use tracing::warn;

use super::blocking;
use super::client::Client;
use super::error::{KafkaLogError, Kind};
use super::health::Context;
use super::progress::{Progress, partition};
use super::scan::damaged;
use super::settings::{CALL_TIMEOUT, Settings};
use super::write::HEADER;
use crate::stream::{LogError, Record, Tally, Value};

/// How long a read waits for the first record.
const WAIT: Duration = Duration::from_millis(200);

/// Rows of JSON records that are put together at most.
const GROUP_ROWS: usize = 8192;

/// How often, and how long apart, the schema of a record is looked for.
const SCHEMA_TRIES: u32 = 50;
const SCHEMA_PAUSE: Duration = Duration::from_millis(50);

/// How long no record may have come for the end to be reached.
const IDLE: Duration = Duration::from_secs(1);

/// How long a topic may be unknown before that is believed where the broker does not tell it plainly: one that starts does not know
/// its topics yet.
const NO_TOPIC_PATIENCE: Duration = Duration::from_secs(30);

/// A consumer whose partitions and offsets its caller decides.
pub(super) struct Reader {
    consumer: BaseConsumer<Context>,
    client: Arc<Client>,
    positions: Offsets,
    no_topic_since: Option<Instant>,
    /// Since when no record came.
    quiet_since: Option<Instant>,
    foreign_told: bool,
    /// Schemas of JSON records, by name.
    schemas: HashMap<String, SchemaRef>,
}

/// A reader that is made when it is first needed.
#[derive(Default)]
pub(super) struct SharedReader(Arc<Mutex<Option<Reader>>>);

impl SharedReader {
    /// Runs `work` on the reader.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        client: &Arc<Client>,
        work: impl FnOnce(&mut Reader) -> Result<T, KafkaLogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (reader, client) = (Arc::clone(&self.0), Arc::clone(client));
        blocking(move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let opened = match reader.take() {
                Some(reader) => reader,
                None => Reader::open(&client)?,
            };
            Ok(work(reader.insert(opened))?)
        })
        .await
    }
}

impl Reader {
    /// A reader that has no partition yet.
    pub(super) fn open(client: &Arc<Client>) -> Result<Self, KafkaLogError> {
        let consumer = client.consumer(&[])?;
        // Topics that the client has not heard of would be looked for once a second only.
        drop(consumer.fetch_metadata(None, CALL_TIMEOUT));
        Ok(Self {
            consumer,
            client: Arc::clone(client),
            positions: Offsets::new(),
            no_topic_since: None,
            quiet_since: None,
            foreign_told: false,
            schemas: HashMap::new(),
        })
    }

    /// Records at or above `from`, at most about `max_bytes` of them; none when none came for a while.
    pub(super) fn read(&mut self, from: &Offsets, max_bytes: u64) -> Result<Vec<Record>, KafkaLogError> {
        let mut records = Vec::new();
        let mut group: Option<Group> = None;
        let client = Arc::clone(&self.client);
        let mut schemas = std::mem::take(&mut self.schemas);
        let mut is_foreign_told = self.foreign_told;
        let polled = self.poll(from, max_bytes, |at, message| {
            let Some(header) = header(message)? else {
                if !std::mem::replace(&mut is_foreign_told, true) {
                    tell_foreign(message);
                }
                return Ok(());
            };
            if let Some(full) = add(at, header, message, &mut group, &mut records) {
                records.push(full.record(&mut schemas, &client)?);
            }
            Ok(())
        });
        let last = group.map(|group| group.record(&mut schemas, &client)).transpose();
        (self.schemas, self.foreign_told) = (schemas, is_foreign_told);
        polled?;
        records.extend(last?);
        Ok(records)
    }

    /// Calls `see` for messages at or above `from`, about `max_bytes` of them; for none when none came for a while.
    pub(super) fn poll(
        &mut self,
        from: &Offsets,
        max_bytes: u64,
        mut see: impl FnMut(TopicPartition, &BorrowedMessage<'_>) -> Result<(), KafkaLogError>,
    ) -> Result<(), KafkaLogError> {
        self.go_to(from)?;
        let mut bytes = 0;
        let mut wait = WAIT;
        while bytes < max_bytes {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    self.no_topic_since = None;
                    let Some(at) = self.client.settings.names.at(message.topic(), message.partition()) else {
                        continue;
                    };
                    self.positions.insert(at, offset_of(&message).next());
                    bytes += message.payload_len() as u64 + 1;
                    see(at, &message)?;
                    if wait != Duration::ZERO {
                        self.client.health.good();
                        wait = Duration::ZERO;
                    }
                }
                Some(Err(error)) => {
                    self.take_error(&error)?;
                    break;
                }
            }
        }
        if bytes == 0 {
            self.quiet_since.get_or_insert_with(Instant::now);
            self.look_after_trouble();
            if self.client.is_time_to_look() {
                // Silence is all that is heard of a topic that was deleted.
                self.client.check_topics()?;
            }
        } else {
            self.quiet_since = None;
        }
        Ok(())
    }

    /// Assigns what is not assigned and seeks where the caller wants another offset than the next one.
    fn go_to(&mut self, from: &Offsets) -> Result<(), KafkaLogError> {
        let same_partitions =
            self.positions.len() == from.len() && from.keys().all(|at| self.positions.contains_key(at));
        if same_partitions {
            for (&at, &offset) in from {
                if self.positions.get(&at) != Some(&offset) {
                    let topic = self.client.settings.names.of(at.topic);
                    let sought = self.consumer.seek(topic, partition(at.partition), to_kafka(offset), CALL_TIMEOUT);
                    if sought.is_err() {
                        // Not assigned for good yet: assigning anew does the same.
                        return self.assign(from);
                    }
                    self.positions.insert(at, offset);
                }
            }
            return Ok(());
        }
        self.assign(from)
    }

    fn assign(&mut self, from: &Offsets) -> Result<(), KafkaLogError> {
        self.assign_at(from)?;
        self.positions.clone_from(from);
        Ok(())
    }

    fn assign_at(&self, offsets: &Offsets) -> Result<(), KafkaLogError> {
        let list = list(&self.client.settings, offsets).map_err(|error| self.failed("name partitions", error))?;
        self.consumer.assign(&list).map_err(|error| self.failed("assign partitions", error))
    }

    /// What an error of the consumer means. `Ok`: it may pass.
    fn take_error(&mut self, error: &KafkaError) -> Result<(), KafkaLogError> {
        match Kind::of(error) {
            Kind::Passing | Kind::Fenced => {
                self.client.health.bad(&error.to_string());
                self.no_topic_since = None;
            }
            Kind::NoOffset => self.find_offsets()?,
            Kind::NoTopic => {
                let since = *self.no_topic_since.get_or_insert_with(Instant::now);
                self.client.check_topics()?;
                self.client.health.bad(&error.to_string());
                if since.elapsed() > NO_TOPIC_PATIENCE {
                    return Err(self.client.gone(&self.client.settings.names.rows));
                }
            }
            Kind::Login => {
                let reason = self.client.health.heard(&error.to_string());
                return Err(KafkaLogError::Login { brokers: self.client.settings.brokers(), reason });
            }
            Kind::Right => {
                return Err(self.client.not_readable(&self.client.settings.names.rows, error));
            }
        }
        Ok(())
    }

    /// Our offset is not there. Below the beginning we go on at it, and the seq of the next record tells what is missing; past the
    /// end the topic is not the one that we read.
    fn find_offsets(&mut self) -> Result<(), KafkaLogError> {
        let mut from = self.positions.clone();
        for (&at, offset) in &mut from {
            let (low, high) = self.watermarks(at)?;
            if *offset > high {
                let topic = self.client.settings.names.of(at.topic).to_owned();
                return Err(KafkaLogError::PastEnd { at, topic, archived: *offset, end: high });
            }
            if low > *offset && self.client.settings.kafka.foreign {
                // There is no seq that would tell.
                self.client.health.odd(format!(
                    "records {offset} to {} of partition {at} of the Kafka topic `{}` were deleted before they were received: their rows \
                     are lost (raise the topic's `retention.ms`)",
                    low.0 - 1,
                    self.client.settings.names.of(at.topic)
                ));
            }
            *offset = low.max(*offset);
        }
        // Our positions stay what the caller asked for: it does not know of the gap before the next record.
        self.assign_at(&from)
    }

    /// Lowest offset of a partition, and the one behind its last.
    fn watermarks(&self, at: TopicPartition) -> Result<(Offset, Offset), KafkaLogError> {
        let topic = self.client.settings.names.of(at.topic);
        let found = self.consumer.fetch_watermarks(topic, partition(at.partition), CALL_TIMEOUT);
        let (low, high) = found.map_err(|error| self.failed(&format!("look at the topic `{topic}`"), error))?;
        let offset = |number| Offset(u64::try_from(number).unwrap_or_default());
        Ok((offset(low), offset(high)))
    }

    /// As [`Self::watermarks`], of several.
    pub(super) fn all_watermarks(
        &self,
        partitions: impl Iterator<Item = TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, (Offset, Offset)>, KafkaLogError> {
        partitions.map(|at| Ok((at, self.watermarks(at)?))).collect()
    }

    /// While Kafka was not to be reached, silence says nothing: ask.
    fn look_after_trouble(&self) {
        if self.client.health.trouble().is_none() {
            return;
        }
        let first = TopicPartition { topic: millstream_core::ids::Topic::Rows, partition: 0 };
        match self.watermarks(first) {
            Ok(_) if self.no_topic_since.is_none() => self.client.health.good(),
            Ok(_) => {}
            Err(error) => self.client.health.bad(&error.to_string()),
        }
    }

    /// The same offsets, behind the markers of transactions where nothing else follows: tools that show lag count those, too. Good
    /// for such tools only.
    pub(super) fn behind_markers(&self, archived: &Offsets) -> Offsets {
        let is_idle = self.quiet_since.is_some_and(|since| since.elapsed() > IDLE);
        let behind = |(&at, &offset): (&TopicPartition, &Offset)| {
            // Nothing archived stays nothing: a start tells by it whether rows were archived elsewhere.
            let is_at_end = is_idle && offset > Offset::default() && self.positions.get(&at) == Some(&offset);
            let end = is_at_end.then(|| self.watermarks(at).ok()).flatten().map(|(_, end)| end);
            (at, end.unwrap_or(offset).max(offset))
        };
        archived.iter().map(behind).collect()
    }

    /// Tells the group how far the archive is, for tools that show lag; nothing depends on it.
    pub(super) fn note_archived(&self, archived: &Offsets) {
        let Ok(list) = list(&self.client.settings, archived) else { return };
        if let Err(error) = self.consumer.commit(&list, rdkafka::consumer::CommitMode::Async) {
            tracing::debug!(%error, "the group's offsets are not noted");
        }
    }

    /// The lowest offset of each partition whose records are not older than `oldest_millis`.
    pub(super) fn younger_than(&self, partitions: &Offsets, oldest_millis: i64) -> Result<Offsets, KafkaLogError> {
        let mut list = TopicPartitionList::new();
        for at in partitions.keys() {
            let topic = self.client.settings.names.of(at.topic);
            list.add_partition_offset(topic, partition(at.partition), KafkaOffset::Offset(oldest_millis))
                .map_err(|error| self.failed("name partitions", error))?;
        }
        let found = self
            .consumer
            .offsets_for_times(list, CALL_TIMEOUT)
            .map_err(|error| self.failed("look for old records", error))?;
        let mut offsets = Offsets::new();
        for element in found.elements() {
            let Some(at) = self.client.settings.names.at(element.topic(), element.partition()) else { continue };
            let offset = match element.offset() {
                KafkaOffset::Offset(offset) => Offset(u64::try_from(offset).unwrap_or_default()),
                // All of them are older.
                KafkaOffset::End => Offset(u64::MAX),
                KafkaOffset::Beginning | KafkaOffset::Stored | KafkaOffset::Invalid | KafkaOffset::OffsetTail(_) => {
                    continue;
                }
            };
            offsets.insert(at, offset);
        }
        Ok(offsets)
    }

    fn failed(&self, operation: &str, source: KafkaError) -> KafkaLogError {
        self.client.failed(operation, source)
    }
}

/// Watermarks of every partition.
pub(super) fn all_watermarks(
    client: &Arc<Client>,
    partitions: impl Iterator<Item = TopicPartition>,
) -> Result<BTreeMap<TopicPartition, (Offset, Offset)>, KafkaLogError> {
    Reader::open(client)?.all_watermarks(partitions)
}

/// What the group knows to be archived; nothing where it cannot be asked.
pub(super) fn noted(client: &Arc<Client>, partitions: impl Iterator<Item = TopicPartition>) -> Offsets {
    let asked = Reader::open(client).ok().and_then(|reader| {
        let all: Offsets = partitions.map(|at| (at, Offset::default())).collect();
        let list = list(&client.settings, &all).ok()?;
        reader.consumer.committed_offsets(list, CALL_TIMEOUT).ok()
    });
    let mut noted = Offsets::new();
    for element in asked.iter().flat_map(TopicPartitionList::elements) {
        let at = client.settings.names.at(element.topic(), element.partition());
        if let (Some(at), KafkaOffset::Offset(offset)) = (at, element.offset()) {
            noted.insert(at, Offset(u64::try_from(offset).unwrap_or_default()));
        }
    }
    noted
}

/// The facts of a message; none when it is not one of ours.
pub(super) fn header(message: &BorrowedMessage<'_>) -> Result<Option<RecordHeader>, KafkaLogError> {
    let facts = message.headers().and_then(|headers| headers.iter().find(|header| header.key == HEADER)?.value);
    let (Some(facts), Some(_)) = (facts, message.payload()) else { return Ok(None) };
    serde_json::from_slice(facts).map(Some).map_err(|_| damaged(message, "a header"))
}

fn tell_foreign(message: &BorrowedMessage<'_>) {
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    warn!(topic, partition, offset, "a record that millstream did not write is passed over");
}

/// Takes a message in: as a record of its own, or as a row of a group. Gives the group that is full by it.
fn add(
    at: TopicPartition,
    header: RecordHeader,
    message: &BorrowedMessage<'_>,
    group: &mut Option<Group>,
    records: &mut Vec<Record>,
) -> Option<Group> {
    let value = message.payload().unwrap_or_default();
    let timestamp_micros = message.timestamp().to_millis().unwrap_or_default().saturating_mul(1000);
    let offset = offset_of(message);
    let Some(schema) = header.schema.clone() else {
        records.push(Record {
            at,
            offset,
            timestamp_micros,
            header,
            value: Value::Arrow(Bytes::copy_from_slice(value)),
        });
        return None;
    };
    if let Some(open) = group
        && open.admits(at, &header, timestamp_micros)
    {
        open.add(&header, offset, value);
        return None;
    }
    let begun = Group { at, timestamp_micros, schema, offsets: vec![offset.0], values: vec![value.to_vec()], header };
    group.replace(begun)
}

/// Consecutive records of one row each.
struct Group {
    at: TopicPartition,
    timestamp_micros: i64,
    schema: String,
    header: RecordHeader,
    offsets: Vec<u64>,
    values: Vec<Vec<u8>>,
}

impl Group {
    fn admits(&self, at: TopicPartition, header: &RecordHeader, timestamp_micros: i64) -> bool {
        let facts = &self.header;
        self.offsets.len() < GROUP_ROWS
            && (at, timestamp_micros) == (self.at, self.timestamp_micros)
            && (header.publisher, header.stream) == (facts.publisher, facts.stream)
            && header.seq == facts.seq + self.offsets.len() as u64
            && header.file == facts.file
            && header.schema == facts.schema
    }

    fn add(&mut self, header: &RecordHeader, offset: Offset, value: &[u8]) {
        self.offsets.push(offset.0);
        self.values.push(value.to_vec());
        self.header.rows += header.rows;
        let times = [self.header.event_time_micros, header.event_time_micros].into_iter().flatten();
        self.header.event_time_micros = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    }

    /// The rows, decoded by the schema that they were written with.
    fn record(self, schemas: &mut HashMap<String, SchemaRef>, client: &Client) -> Result<Record, KafkaLogError> {
        let bad = |what| KafkaLogError::Damaged {
            topic: client.settings.names.of(self.at.topic).to_owned(),
            partition: partition(self.at.partition),
            offset: i64::try_from(self.offsets[0]).unwrap_or(i64::MAX),
            what,
        };
        for _ in 0..SCHEMA_TRIES {
            if schemas.contains_key(&self.schema) {
                break;
            }
            // It was appended with the first record that has it, and partitions show a transaction one after the other.
            schemas.extend(Progress::read(client)?.schemas);
            std::thread::sleep(SCHEMA_PAUSE);
        }
        let schema = schemas.get(&self.schema).ok_or_else(|| bad("rows whose schema is not there"))?;
        let values: Vec<&[u8]> = self.values.iter().map(Vec::as_slice).collect();
        let decoded = json::decode_rows(&values, schema).map_err(|_| bad("rows that cannot be read"))?;
        if !decoded.bad.is_empty() {
            return Err(bad("a row that cannot be read"));
        }
        let end = Offset(self.offsets.last().copied().unwrap_or_default()).next();
        let offsets = Arc::from(self.offsets.as_slice());
        let value = Value::Rows { batch: decoded.batch, offsets, end, tally: Tally::default() };
        let offset = Offset(self.offsets[0]);
        Ok(Record { at: self.at, offset, timestamp_micros: self.timestamp_micros, header: self.header, value })
    }
}

pub(super) fn offset_of(message: &BorrowedMessage<'_>) -> Offset {
    Offset(u64::try_from(message.offset()).unwrap_or_default())
}

pub(super) fn to_kafka(offset: Offset) -> KafkaOffset {
    KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX))
}

pub(super) fn list(settings: &Settings, offsets: &Offsets) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (&at, &offset) in offsets {
        list.add_partition_offset(settings.names.of(at.topic), partition(at.partition), to_kafka(offset))?;
    }
    Ok(list)
}
