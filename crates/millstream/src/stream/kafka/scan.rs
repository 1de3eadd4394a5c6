//! Reading a topic from given offsets to its end as it is now, committed records only. Blocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::error::{KafkaLogError, Kind};
use super::health::{Context, Health};
use super::settings::Settings;

/// Longest time without any word from the broker.
const SILENCE: Duration = Duration::from_secs(15);

/// Calls `see` for every committed record of these partitions of a topic, from the given offsets on, in offset order within each.
/// A record that is committed when this is called is seen.
pub(super) fn scan(
    settings: &Settings,
    health: &Arc<Health>,
    topic: &str,
    from: &BTreeMap<i32, Offset>,
    mut see: impl FnMut(&BorrowedMessage<'_>) -> Result<(), KafkaLogError>,
) -> Result<(), KafkaLogError> {
    if from.is_empty() {
        return Ok(());
    }
    let operation = || format!("read the topic `{topic}`");
    let failed = |source| KafkaLogError::Operation { operation: operation(), brokers: settings.brokers(), source };
    let mut config = settings.consumer();
    config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest").set("client.id", "millstream-scan");
    let consumer: BaseConsumer<Context> = config.create_with_context(Context(Arc::clone(health))).map_err(failed)?;
    let mut list = TopicPartitionList::new();
    for (&partition, &offset) in from {
        list.add_partition_offset(topic, partition, offset).map_err(failed)?;
    }
    consumer.assign(&list).map_err(failed)?;
    let mut open: Vec<i32> = from.keys().copied().collect();
    let mut heard_at = Instant::now();
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                heard_at = Instant::now();
                see(&message)?;
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                heard_at = Instant::now();
                open.retain(|&other| other != partition);
            }
            Some(Err(error)) if Kind::of(&error) == Kind::Right => {
                return Err(KafkaLogError::NotPermitted { operation: operation(), reason: error.to_string() });
            }
            Some(Err(error)) if Kind::of(&error) != Kind::Passing => return Err(failed(error)),
            Some(Err(_)) | None => {}
        }
        if heard_at.elapsed() > SILENCE {
            let reason = health.heard("no answer");
            return Err(KafkaLogError::Unreachable { brokers: settings.brokers(), reason });
        }
    }
    Ok(())
}

/// That a record of one of our own topics cannot be understood.
pub(super) fn damaged(message: &BorrowedMessage<'_>, what: &'static str) -> KafkaLogError {
    KafkaLogError::Damaged {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        what,
    }
}
