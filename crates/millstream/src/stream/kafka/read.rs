//! Reading records as they come, from offsets that the caller names. Blocks, never for long: whoever waits asks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream_core::ids::{Offset, TopicPartition};
use millstream_core::progress::Offsets;
use millstream_core::record::RecordHeader;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};
use tracing::warn;

use super::client::Client;
use super::error::{KafkaLogError, Kind};
use super::health::Context;
use super::progress::partition;
use super::settings::{CALL_TIMEOUT, Settings};
use super::write::HEADER;
use crate::stream::Record;

/// How long a read waits for the first record.
const WAIT: Duration = Duration::from_millis(200);

/// How long a topic may be unknown before that is believed: a broker that starts does not know its topics yet.
const NO_TOPIC_PATIENCE: Duration = Duration::from_secs(30);

/// A consumer whose partitions and offsets its caller decides.
pub(super) struct Reader {
    consumer: BaseConsumer<Context>,
    client: Arc<Client>,
    positions: Offsets,
    no_topic_since: Option<Instant>,
    foreign_told: bool,
}

impl Reader {
    /// A reader that has no partition yet.
    pub(super) fn open(client: &Arc<Client>) -> Result<Self, KafkaLogError> {
        let consumer: BaseConsumer<Context> = client
            .settings
            .consumer()
            .create_with_context(client.context())
            .map_err(|error| KafkaLogError::Settings { reason: error.to_string() })?;
        // Topics that the client has not heard of would be looked for once a second only.
        drop(consumer.fetch_metadata(None, CALL_TIMEOUT));
        Ok(Self {
            consumer,
            client: Arc::clone(client),
            positions: Offsets::new(),
            no_topic_since: None,
            foreign_told: false,
        })
    }

    /// Records at or above `from`, at most about `max_bytes` of them; none when none came for a while.
    pub(super) fn read(&mut self, from: &Offsets, max_bytes: u64) -> Result<Vec<Record>, KafkaLogError> {
        self.go_to(from)?;
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut wait = WAIT;
        while bytes < max_bytes {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    let record = take(&self.client.settings, &message)?;
                    let Some(at) = self.client.settings.names.at(message.topic(), message.partition()) else {
                        continue;
                    };
                    self.positions.insert(at, offset_of(&message).next());
                    self.no_topic_since = None;
                    if let Some(record) = record {
                        bytes += record.value.len() as u64;
                        records.push(record);
                    } else if !std::mem::replace(&mut self.foreign_told, true) {
                        warn!(
                            topic = message.topic(),
                            partition = message.partition(),
                            offset = message.offset(),
                            "a record that millstream did not write is passed over; set `stream.kafka.foreign` to receive such topics"
                        );
                    }
                    wait = Duration::ZERO;
                }
                Some(Err(error)) => {
                    self.take_error(&error)?;
                    break;
                }
            }
        }
        if records.is_empty() {
            self.look_after_trouble();
        } else {
            self.client.health.good();
        }
        Ok(records)
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
        let list = list(&self.client.settings, from).map_err(|error| self.failed("name partitions", error))?;
        self.consumer.assign(&list).map_err(|error| self.failed("assign partitions", error))?;
        self.positions.clone_from(from);
        Ok(())
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
                self.client.health.bad(&error.to_string());
                if since.elapsed() > NO_TOPIC_PATIENCE {
                    return Err(KafkaLogError::Topic {
                        topic: self.client.settings.names.rows.clone(),
                        problem: "is gone, or a topic beside it: it was deleted while it was read. What the archive holds is safe; to \
                                  start over name another `stream.topic` and another `archive.path`"
                            .to_owned(),
                    });
                }
            }
            Kind::Login => {
                let reason = self.client.health.heard(&error.to_string());
                return Err(KafkaLogError::Login { brokers: self.client.settings.brokers(), reason });
            }
            Kind::Right => {
                let operation = format!("read the topic `{}`", self.client.settings.names.rows);
                return Err(KafkaLogError::NotPermitted { operation, reason: error.to_string() });
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
            *offset = low.max(*offset);
        }
        let list = list(&self.client.settings, &from).map_err(|error| self.failed("name partitions", error))?;
        self.consumer.assign(&list).map_err(|error| self.failed("assign partitions", error))
    }

    fn watermarks(&self, at: TopicPartition) -> Result<(Offset, Offset), KafkaLogError> {
        watermarks(&self.consumer, &self.client.settings, at)
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

/// Lowest offset of a partition, and the one behind its last.
pub(super) fn watermarks(
    consumer: &BaseConsumer<Context>,
    settings: &Settings,
    at: TopicPartition,
) -> Result<(Offset, Offset), KafkaLogError> {
    let topic = settings.names.of(at.topic);
    let found = consumer.fetch_watermarks(topic, partition(at.partition), CALL_TIMEOUT);
    let (low, high) = found.map_err(|source| KafkaLogError::Operation {
        operation: format!("look at the topic `{topic}`"),
        brokers: settings.brokers(),
        source: Box::new(source),
    })?;
    let offset = |number| Offset(u64::try_from(number).unwrap_or_default());
    Ok((offset(low), offset(high)))
}

/// Watermarks of every partition.
pub(super) fn all_watermarks(
    client: &Arc<Client>,
) -> Result<BTreeMap<TopicPartition, (Offset, Offset)>, KafkaLogError> {
    let reader = Reader::open(client)?;
    TopicPartition::all(client.settings.partitions).map(|at| Ok((at, reader.watermarks(at)?))).collect()
}

/// The record of a message; none when it is not one of ours.
pub(super) fn take(settings: &Settings, message: &BorrowedMessage<'_>) -> Result<Option<Record>, KafkaLogError> {
    let Some(at) = settings.names.at(message.topic(), message.partition()) else { return Ok(None) };
    let facts = message.headers().and_then(|headers| headers.iter().find(|header| header.key == HEADER)?.value);
    let (Some(facts), Some(value)) = (facts, message.payload()) else { return Ok(None) };
    let header: RecordHeader = serde_json::from_slice(facts).map_err(|_| super::scan::damaged(message, "a header"))?;
    Ok(Some(Record {
        at,
        offset: offset_of(message),
        timestamp_micros: message.timestamp().to_millis().unwrap_or_default().saturating_mul(1000),
        header,
        value: Bytes::copy_from_slice(value),
    }))
}

fn offset_of(message: &BorrowedMessage<'_>) -> Offset {
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
