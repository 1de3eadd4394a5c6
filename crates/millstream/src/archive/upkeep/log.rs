//! The table's own log: checkpoints, so that opening does not read every commit, and the removal of what is older than the history.

use std::collections::HashMap;
use std::time::Duration;

use deltalake::DeltaTable;
use deltalake::checkpoints::create_checkpoint;
use deltalake::kernel::transaction::CommitProperties;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::Deserialize;

use super::super::{ArchiveError, ArchiveTable};
use crate::clock::now_micros;
use crate::failpoint;

/// How much longer than the history replaced files are remembered: as long as a vacuum may be late.
const REMEMBERED_LONGER: Duration = Duration::from_hours(24);

/// What is read of `_last_checkpoint`.
#[derive(Deserialize)]
struct LastCheckpoint {
    version: u64,
}

/// Properties of a table that keeps its history for this long.
pub(crate) fn properties(history: Duration, checkpoint_versions: u32) -> [(String, String); 3] {
    let interval = |duration: Duration| format!("interval {} seconds", duration.as_secs().max(1));
    [
        ("delta.deletedFileRetentionDuration".to_owned(), interval(history.saturating_add(REMEMBERED_LONGER))),
        ("delta.logRetentionDuration".to_owned(), interval(history)),
        ("delta.checkpointInterval".to_owned(), checkpoint_versions.to_string()),
    ]
}

/// Version that a file of the log is of.
fn version_of(name: &str) -> Option<u64> {
    let digits = name.get(..20)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether it is a whole checkpoint: we write no others.
fn is_checkpoint(file: &ObjectMeta) -> bool {
    file.location.filename().is_some_and(|name| name.ends_with(".checkpoint.parquet"))
}

impl ArchiveTable {
    /// Version of the newest checkpoint; none without one.
    pub(super) async fn checkpointed(&self, table: &DeltaTable) -> Option<u64> {
        let store = table.object_store();
        let bytes = store.get(&"_delta_log/_last_checkpoint".into()).await.ok()?.bytes().await.ok()?;
        Some(serde_json::from_slice::<LastCheckpoint>(&bytes).ok()?.version)
    }

    /// Writes a checkpoint of the newest version and removes what is older than the history from the log. Gives the version and the
    /// number of log files that were removed.
    pub(super) async fn checkpoint(&self, history: Duration) -> Result<Option<(u64, u64)>, ArchiveError> {
        let Some(loaded) = self.load().await? else { return Ok(None) };
        let version = loaded.table.version().unwrap_or_default();
        create_checkpoint(&loaded.table, None).await.map_err(self.delta("write a checkpoint of"))?;
        failpoint::hit("upkeep.checkpointed");
        self.sync_checkpoints().await?;
        let cutoff = now_micros().saturating_sub(i64::try_from(history.as_micros()).unwrap_or(i64::MAX));
        let removed = self.clean_log(&loaded.table, version, cutoff).await?;
        Ok(Some((version, removed)))
    }

    /// Removes what the log does not need to tell the versions from `cutoff_micros` on: what is below the newest checkpoint that is
    /// not above the oldest of them. The checkpoint before the newest stays in any case, with all that follows it: whoever opened
    /// the table before the newest was written reads on from there. The oldest go first, so that whoever dies midway leaves no hole.
    async fn clean_log(&self, table: &DeltaTable, checkpointed: u64, cutoff_micros: i64) -> Result<u64, ArchiveError> {
        let store = table.object_store();
        let failed = |error: object_store::Error| self.delta("clean up the log of")(error.into());
        let listed: Vec<ObjectMeta> = store.list(Some(&"_delta_log".into())).try_collect().await.map_err(failed)?;
        let mut files: Vec<(u64, &ObjectMeta)> =
            listed.iter().filter_map(|file| Some((version_of(file.location.filename()?)?, file))).collect();
        files.sort_by(|a, b| (a.0, &a.1.location).cmp(&(b.0, &b.1.location)));
        let is_kept = |file: &ObjectMeta| file.last_modified.timestamp_micros() >= cutoff_micros;
        let kept = files.iter().filter(|(_, file)| is_kept(file)).map(|(version, _)| *version);
        let oldest = kept.min().unwrap_or(checkpointed).min(checkpointed);
        let is_base = |version: u64| version <= oldest && version < checkpointed;
        let checkpoints = files.iter().filter(|(version, file)| is_base(*version) && is_checkpoint(file));
        let Some(base) = checkpoints.map(|(version, _)| *version).max() else { return Ok(0) };
        let mut removed = 0;
        for (_, file) in files.iter().take_while(|(version, _)| *version < base) {
            match store.delete(&file.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => removed += 1,
                Err(error) => return Err(failed(error)),
            }
            failpoint::hit("upkeep.log_cleaned");
        }
        Ok(removed)
    }

    /// Brings the table's properties to what the settings say, when they are not. `false` when somebody else committed first.
    pub(super) async fn set_properties(
        &self,
        history: Duration,
        checkpoint_versions: u32,
    ) -> Result<bool, ArchiveError> {
        let Some(loaded) = self.load().await? else { return Ok(true) };
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        let now = state.metadata().configuration();
        let wanted = HashMap::from(properties(history, checkpoint_versions));
        if wanted.iter().all(|(key, value)| now.get(key) == Some(value)) {
            return Ok(true);
        }
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let set = loaded.table.set_tbl_properties().with_properties(wanted).with_commit_properties(properties).await;
        if set.is_ok() {
            self.sync_log().await?;
        }
        Ok(set.is_ok())
    }
}
