//! What upkeep of the archive came to since the process started.

use millstream_core::ids::Topic;
use millstream_core::status::UpkeepStatus;

use crate::archive::upkeep::{Compacted, Vacuumed};
use crate::clock::{now_micros, rfc3339};

/// Numbers of upkeep.
#[derive(Debug, Default)]
pub(crate) struct UpkeepNumbers {
    /// What is under way, in words.
    pub(crate) doing: Option<String>,
    /// Small files of the two tables.
    pub(crate) small_files: [u64; 2],
    kept: [(u64, u64); 2],
    status: UpkeepStatus,
}

impl UpkeepNumbers {
    /// Small files were put together.
    pub(crate) fn compacted(&mut self, compacted: Compacted) {
        self.status.compacted_files += compacted.files_before;
        self.status.compacted_into += compacted.files_after;
        self.status.compacted_bytes += compacted.bytes_before;
        self.status.last_compaction_at = Some(rfc3339(now_micros()));
    }

    /// A checkpoint was written.
    pub(crate) fn checkpointed(&mut self, topic: Topic, version: u64) {
        if topic == Topic::Rows {
            self.status.last_checkpoint_version = Some(version);
        }
        self.status.last_checkpoint_at = Some(rfc3339(now_micros()));
    }

    /// Files that nobody can read any more were removed.
    pub(crate) fn vacuumed(&mut self, vacuumed: Vacuumed, side: usize) {
        self.status.removed_files += vacuumed.replaced_files + vacuumed.unknown_files;
        self.status.removed_bytes += vacuumed.bytes;
        self.status.last_vacuum_at = Some(rfc3339(now_micros()));
        self.kept[side] = (vacuumed.kept_files, vacuumed.kept_bytes);
    }

    /// As it is told.
    pub(super) fn status(&self) -> UpkeepStatus {
        UpkeepStatus {
            doing: self.doing.clone(),
            small_files: self.small_files.iter().sum(),
            replaced_files: self.kept.iter().map(|(files, _)| files).sum(),
            replaced_bytes: self.kept.iter().map(|(_, bytes)| bytes).sum(),
            ..self.status.clone()
        }
    }
}
