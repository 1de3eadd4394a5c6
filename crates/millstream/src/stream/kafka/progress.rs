//! What the publishers of a stream keep on Kafka: the topics of progress and dedup, read and written.
//!
//! Partition `i` of both is written by publisher `i` alone; the layout of the stream (its id and the number of publishers)
//! stands in the last partition of the topic of progress, where no publisher's open transaction can hide it, and is written
//! under the transactional id of the start only.

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::datatypes::SchemaRef;
use millstream_core::dedup::{ChunkId, Claim, KeptKeys, KeyChunk};
use millstream_core::ids::StreamId;
use millstream_core::progress::{FileProgress, PublisherProgress, StartedRules};
use millstream_core::record::decode_schema;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::Offset;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::client::Client;
use super::error::KafkaLogError;
use super::scan::{damaged, scan};
use super::settings::LAYOUT_PARTITION;
use crate::table::Seqs;

/// Keys of the topic of progress.
pub(super) const LAYOUT_KEY: &str = "stream";
pub(super) const INSTANCE_KEY: &str = "instance";
pub(super) const PUBLISHER_KEY: &str = "publisher";
const FILE_KEY: &str = "file/";
const SCHEMA_KEY: &str = "schema/";

/// First byte of the keys of the topic of dedup; the id of a chunk follows. Earlier versions had a record for each key, by its hash.
const CHUNK_KEY: u8 = b'c';

/// Version of what stands in these topics.
pub(super) const FORMAT: u32 = 1;

/// What a stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layout {
    pub(super) format: u32,
    pub(super) stream: StreamId,
    /// How many publishers share the files.
    pub(super) publishers: u32,
    /// The most that there ever were.
    pub(super) most_publishers: u32,
    /// Whether files are just being given to other publishers: nobody may publish.
    pub(super) moving: bool,
}

/// What one publisher keeps.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Which process publishes, or published last.
    pub(super) instance: Option<String>,
    pub(super) publisher: Option<PublisherProgress>,
    /// By name.
    pub(super) files: BTreeMap<String, FileProgress>,
}

/// What the topic of progress holds.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) layout: Option<Layout>,
    pub(super) publishers: BTreeMap<u32, Kept>,
    /// Schemas of JSON records, by name.
    pub(super) schemas: HashMap<String, SchemaRef>,
}

impl Progress {
    /// Reads the topic to its end. Blocks.
    pub(super) fn read(client: &Client) -> Result<Self, KafkaLogError> {
        let all = (0..=LAYOUT_PARTITION).map(partition).map(|partition| (partition, Offset::Beginning)).collect();
        let mut progress = Self::default();
        scan(client, &client.settings.names.progress, &all, |message| progress.take(message))?;
        match &progress.layout {
            Some(layout) if layout.format > FORMAT => Err(KafkaLogError::Topic {
                topic: client.settings.names.progress.clone(),
                problem: format!(
                    "has format {}, and this version of millstream knows formats up to {FORMAT}: use the version that wrote it",
                    layout.format
                ),
            }),
            Some(_) | None => Ok(progress),
        }
    }

    /// Seq of the next record of each partition, of every publisher.
    pub(super) fn next_seqs(&self) -> Seqs {
        let of = |(&publisher, kept): (&u32, &Kept)| {
            let next = kept.publisher.iter().flat_map(|progress| progress.next_seq.clone());
            next.map(|(at, next)| ((at, publisher), next)).collect::<Vec<_>>()
        };
        self.publishers.iter().flat_map(of).collect()
    }

    /// Rules that files began with, of every publisher.
    pub(super) fn rules(&self) -> Vec<StartedRules> {
        let of = |kept: &Kept| kept.publisher.iter().flat_map(PublisherProgress::rules).cloned().collect::<Vec<_>>();
        self.publishers.values().flat_map(of).collect()
    }

    /// Names of the files that other publishers than `index` have.
    pub(super) fn files_of_others(&self, index: u32) -> HashSet<String> {
        let others = self.publishers.iter().filter(|(publisher, _)| **publisher != index);
        others.flat_map(|(_, kept)| kept.files.keys().cloned()).collect()
    }

    /// Takes in one record; a later one replaces an earlier one with the same key.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), KafkaLogError> {
        let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
        let key = key.ok_or_else(|| damaged(message, "a key"))?;
        let kept = self.publishers.entry(u32::try_from(message.partition()).unwrap_or_default()).or_default();
        let value = message.payload();
        let unreadable = |_| damaged(message, "a value");
        match (key, value) {
            (LAYOUT_KEY, Some(value)) => self.layout = Some(serde_json::from_slice(value).map_err(unreadable)?),
            (INSTANCE_KEY, Some(value)) => kept.instance = Some(String::from_utf8_lossy(value).into_owned()),
            (PUBLISHER_KEY, Some(value)) => kept.publisher = Some(serde_json::from_slice(value).map_err(unreadable)?),
            (key, Some(value)) if key.starts_with(FILE_KEY) => {
                let file: FileProgress = serde_json::from_slice(value).map_err(unreadable)?;
                kept.files.insert(file.file.clone(), file);
            }
            (key, Some(value)) if key.starts_with(SCHEMA_KEY) => {
                let schema = decode_schema(value).map_err(|_| damaged(message, "a schema"))?;
                self.schemas.insert(key.trim_start_matches(SCHEMA_KEY).to_owned(), schema);
            }
            (key, None) => {
                if let Some(file) = key.strip_prefix(FILE_KEY) {
                    kept.files.remove(file);
                }
            }
            // A later version of the same format may keep more.
            (_, Some(_)) => {}
        }
        Ok(())
    }
}

/// Sends what dedup kept of a publisher, until nobody takes it. Blocks.
pub(super) fn read_kept_keys(
    client: &Client,
    publisher: u32,
    to: &mpsc::Sender<KeptKeys>,
) -> Result<(), KafkaLogError> {
    let own = partition(publisher);
    client.wait_until_stable(&client.settings.names.dedup, &[own])?;
    // Of earlier versions, which kept no more of them than fit in memory.
    let mut single: HashMap<[u8; Claim::KEY_BYTES], Claim> = HashMap::new();
    let from = BTreeMap::from([(own, Offset::Beginning)]);
    let mut is_wanted = true;
    scan(client, &client.settings.names.dedup, &from, |message| {
        let key = message.key().unwrap_or_default();
        if let Ok(key) = <[u8; Claim::KEY_BYTES]>::try_from(key) {
            match message.payload() {
                Some(time) if time.len() + key.len() == Claim::BYTES => {
                    single.insert(key, Claim::read(&[&key, time].concat()));
                }
                Some(_) => return Err(damaged(message, "a dedup time")),
                None => drop(single.remove(&key)),
            }
            return Ok(());
        }
        let id = key.strip_prefix(&[CHUNK_KEY]).and_then(|id| id.try_into().ok()).map(ChunkId::from_bytes);
        let id = id.ok_or_else(|| damaged(message, "a dedup key"))?;
        let kept = match message.payload() {
            Some(value) => KeptKeys::Chunk(KeyChunk { id, value: value.to_vec() }),
            None => KeptKeys::Forgotten(id.slice),
        };
        is_wanted = is_wanted && to.blocking_send(kept).is_ok();
        Ok(())
    })?;
    if !single.is_empty() {
        // One that is gone needs nothing.
        let _ = to.blocking_send(KeptKeys::Single(single.into_values().collect()));
    }
    Ok(())
}

/// Key of a chunk of dedup keys.
pub(super) fn chunk_key(id: ChunkId) -> Vec<u8> {
    [[CHUNK_KEY].as_slice(), &id.to_bytes()].concat()
}

/// Key of the progress of a file.
pub(super) fn file_key(file: &str) -> String {
    format!("{FILE_KEY}{file}")
}

/// Key of a schema.
pub(super) fn schema_key(name: &str) -> String {
    format!("{SCHEMA_KEY}{name}")
}

/// Number of a partition as Kafka's clients have it.
pub(super) fn partition(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Which publisher of `count` a file belongs to.
pub(crate) fn owner(file: &str, count: u32) -> u32 {
    let hash = millstream_core::ids::hash_of_name(file);
    u32::try_from(hash % u64::from(count.max(1))).unwrap_or_default()
}
