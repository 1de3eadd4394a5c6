//! Names and positions in the log: which stream, topic, partition and offset.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Made when a stream is first written. Offsets mean nothing without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub Uuid);

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Position of a record in its partition, from 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The position behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The two topics of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Clean rows: `<topic>`.
    Rows,
    /// Rejected rows: `<topic>.rejects`.
    Rejects,
}

/// One partition of one of the two topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// Which topic.
    pub topic: Topic,
    /// Number of the partition, from 0.
    pub partition: u32,
}

impl TopicPartition {
    /// All partitions of a pipeline with `partitions` partitions of clean rows. Rejects have one.
    pub fn all(partitions: u32) -> impl Iterator<Item = Self> {
        Self::rows(partitions).chain(std::iter::once(Self { topic: Topic::Rejects, partition: 0 }))
    }

    /// The partitions of clean rows.
    pub fn rows(partitions: u32) -> impl Iterator<Item = Self> {
        (0..partitions).map(|partition| Self { topic: Topic::Rows, partition })
    }

    /// The same partition for rejects, where a topic that others write is cleaned while it is received.
    #[must_use]
    pub fn rejects(self) -> Self {
        Self { topic: Topic::Rejects, ..self }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.topic {
            Topic::Rows => write!(formatter, "{}", self.partition),
            Topic::Rejects => write!(formatter, "rejects/{}", self.partition),
        }
    }
}

/// A hash of a name that never changes: of the same name in every version of the program.
#[must_use]
pub fn hash_of_name(name: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(name.as_bytes())
}
