//! Reading a topic from given offsets to its end as it is now, committed records only. Blocks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use tracing::debug;

use super::client::Client;
use super::error::{KafkaLogError, Kind};
use super::settings::CALL_TIMEOUT;

/// Longest time without any word from the broker.
const SILENCE: Duration = Duration::from_secs(15);

/// Calls `see` for every committed record of these partitions of a topic, from the given offsets on, in offset order within each.
/// A record that is committed when this is called is seen.
pub(super) fn scan(
    client: &Client,
    topic: &str,
    from: &BTreeMap<i32, Offset>,
    mut see: impl FnMut(&BorrowedMessage<'_>) -> Result<(), KafkaLogError>,
) -> Result<(), KafkaLogError> {
    if from.is_empty() {
        return Ok(());
    }
    let operation = || format!("read the topic `{topic}`");
    let failed = |source| client.failed(operation(), source);
    let consumer = client.take_scanner()?;
    let mut list = TopicPartitionList::new();
    for (&partition, &offset) in from {
        list.add_partition_offset(topic, partition, offset).map_err(failed)?;
    }
    // A topic that the client has not heard of would be looked for once a second only.
    drop(consumer.fetch_metadata(Some(topic), CALL_TIMEOUT));
    consumer.assign(&list).map_err(failed)?;
    let mut open: Vec<i32> = from.keys().copied().collect();
    let began = Instant::now();
    let mut heard_at = began;
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(message)) => {
                see(&message)?;
                // Behind it: whoever takes what is seen may take its time, which is not the broker's silence.
                heard_at = Instant::now();
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                heard_at = Instant::now();
                open.retain(|&other| other != partition);
            }
            Some(Err(error)) if Kind::of(&error) == Kind::Right => {
                return Err(client.not_readable(topic, &error));
            }
            Some(Err(error)) if Kind::of(&error) != Kind::Passing => return Err(failed(error)),
            Some(Err(_)) | None => {}
        }
        if heard_at.elapsed() > SILENCE {
            return Err(client.unreachable());
        }
    }
    debug!(topic, millis = began.elapsed().as_millis(), "scanned");
    consumer.unassign().map_err(failed)?;
    client.put_scanner(consumer);
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
