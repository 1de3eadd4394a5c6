//! Vacuum: removes data files that no version within the kept history has.
//!
//! Two kinds of files go. Those that the log names as replaced, once that is longer ago than the history: whoever reads a version
//! of before has had that time to finish. And those that no version names at all, left by a writer that was killed. Of these
//! nobody can tell by looking whether their writer lives and will commit them yet. So before they go a version is committed:
//! whoever commits after it has opened the table after it, and refuses to commit files of that age (`STAGED_AT_MOST`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::protocol::DeltaOperation;
use futures::TryStreamExt;
use object_store::path::Path as StorePath;
use object_store::{ObjectStore, ObjectStoreExt};

use super::super::commit::STAGED_AT_MOST;
use super::super::{ArchiveError, ArchiveTable, Loaded};
use crate::clock::now_micros;
use crate::failpoint;

/// Age past which a file that no version has is nobody's any more: writers give up at half of it, by their own clocks.
const ORPHAN_AGE: Duration = Duration::from_hours(24);

const _: () = assert!(STAGED_AT_MOST.as_secs() * 2 <= ORPHAN_AGE.as_secs());

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Vacuumed {
    /// Files that were replaced longer ago than the history.
    pub(crate) replaced_files: u64,
    /// Files that no version names.
    pub(crate) unknown_files: u64,
    /// Bytes of both.
    pub(crate) bytes: u64,
    /// Files that were replaced, and stay for as long as the history says.
    pub(crate) kept_files: u64,
    /// Bytes of them.
    pub(crate) kept_bytes: u64,
}

/// What a version says of the files in the table's folder.
struct Known {
    live: HashSet<String>,
    /// With the time at which they were replaced, milliseconds since 1970.
    replaced: HashMap<String, i64>,
}

/// What a look at the folder came to.
#[derive(Default)]
struct Found {
    replaced: BTreeMap<String, u64>,
    unknown: BTreeMap<String, u64>,
    kept: BTreeMap<String, u64>,
}

impl ArchiveTable {
    /// Removes the files that were replaced longer ago than `history`, and those that are in no version.
    pub(crate) async fn vacuum(&self, history: Duration, dry_run: bool) -> Result<Option<Vacuumed>, ArchiveError> {
        let Some(loaded) = self.load().await? else { return Ok(None) };
        let mut found = self.look(&loaded, history).await?;
        if !found.unknown.is_empty() && !dry_run {
            found.unknown = self.still_unknown(loaded, history, found.unknown).await?;
        }
        let bytes = |files: &BTreeMap<String, u64>| files.values().sum::<u64>();
        let vacuumed = Vacuumed {
            replaced_files: found.replaced.len() as u64,
            unknown_files: found.unknown.len() as u64,
            bytes: bytes(&found.replaced) + bytes(&found.unknown),
            kept_files: found.kept.len() as u64,
            kept_bytes: bytes(&found.kept),
        };
        let (leftovers, leftover_bytes) = self.leftovers(dry_run).await;
        let vacuumed = Vacuumed {
            unknown_files: vacuumed.unknown_files + leftovers,
            bytes: vacuumed.bytes + leftover_bytes,
            ..vacuumed
        };
        if !dry_run {
            let gone: Vec<String> = found.replaced.into_keys().chain(found.unknown.into_keys()).collect();
            self.remove(gone).await?;
        }
        Ok(Some(vacuumed))
    }

    /// Which of the files that no version had are in none after a version of ours, either.
    async fn still_unknown(
        &self,
        loaded: Loaded,
        history: Duration,
        unknown: BTreeMap<String, u64>,
    ) -> Result<BTreeMap<String, u64>, ArchiveError> {
        if !self.mark(&loaded, history).await? {
            // Somebody else committed: the next time will do.
            return Ok(BTreeMap::new());
        }
        failpoint::hit("vacuum.marked");
        let Some(loaded) = self.load().await? else { return Ok(BTreeMap::new()) };
        let known = self.known(&loaded).await?;
        let is_unknown = |path: &String| !known.live.contains(path) && !known.replaced.contains_key(path);
        Ok(unknown.into_iter().filter(|(path, _)| is_unknown(path)).collect())
    }

    async fn look(&self, loaded: &Loaded, history: Duration) -> Result<Found, ArchiveError> {
        let known = self.known(loaded).await?;
        let now = now_micros();
        let before = |age: Duration| now.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        // Replaced files are forgotten by the log after a while, and must not be taken for files of nobody within the history.
        let remembered = self.remembers(loaded)?;
        let orphan_age = ORPHAN_AGE.max(history);
        let mut found = Found::default();
        let store = loaded.table.object_store();
        let mut listing = store.list(None);
        while let Some(file) =
            listing.try_next().await.map_err(|error| self.delta("list the files of")(error.into()))?
        {
            let path = file.location.to_string();
            if path.starts_with('_') && !path.starts_with(super::super::PARTITION_COLUMN) {
                // The table's log.
                continue;
            }
            if !path.ends_with(".parquet") || known.live.contains(&path) {
                continue;
            }
            match known.replaced.get(&path) {
                Some(&millis) if millis.saturating_mul(1000) < before(history) => {
                    found.replaced.insert(path, file.size)
                }
                Some(_) => found.kept.insert(path, file.size),
                None if remembered >= history && file.last_modified.timestamp_micros() < before(orphan_age) => {
                    found.unknown.insert(path, file.size)
                }
                None => None,
            };
        }
        Ok(found)
    }

    async fn known(&self, loaded: &Loaded) -> Result<Known, ArchiveError> {
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        let live = state.log_data().iter().map(|file| file.path().into_owned()).collect();
        let log_store = loaded.table.log_store();
        let mut replaced = HashMap::new();
        let mut tombstones = state.all_tombstones(&*log_store);
        while let Some(file) = tombstones.try_next().await.map_err(self.delta("read"))? {
            replaced.insert(file.path().into_owned(), file.deletion_timestamp().unwrap_or_default());
        }
        Ok(Known { live, replaced })
    }

    /// How long the table's log remembers replaced files.
    fn remembers(&self, loaded: &Loaded) -> Result<Duration, ArchiveError> {
        use deltalake::table::config::TablePropertiesExt;

        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        Ok(state.table_config().deleted_file_retention_duration())
    }

    /// Commits a version that says that files are about to go; `false` when somebody else committed first.
    async fn mark(&self, loaded: &Loaded, history: Duration) -> Result<bool, ArchiveError> {
        let millis = i64::try_from(history.as_millis()).unwrap_or(i64::MAX);
        let operation = DeltaOperation::VacuumStart {
            retention_check_enabled: true,
            specified_retention_millis: Some(millis),
            default_retention_millis: millis,
        };
        let properties = CommitProperties::default()
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        let commit = CommitBuilder::from(properties).build(Some(state), loaded.table.log_store(), operation);
        let committed = commit.await;
        if committed.is_ok() {
            self.sync_log().await?;
        }
        Ok(committed.is_ok())
    }

    /// Removes what uploads to the local disk left that were killed: `object_store` writes to `<name>#<number>`, lists no such
    /// file and gives it its name at the end. Gives their number and size.
    async fn leftovers(&self, dry_run: bool) -> (u64, u64) {
        let Some(folder) = self.local_folder().map(Path::to_owned) else { return (0, 0) };
        let before = now_micros().saturating_sub(i64::try_from(ORPHAN_AGE.as_micros()).unwrap_or(i64::MAX));
        let found = tokio::task::spawn_blocking(move || {
            let mut found = Vec::new();
            uploads(&folder, before, &mut found);
            for (path, _) in found.iter().filter(|_| !dry_run) {
                if let Err(error) = std::fs::remove_file(path) {
                    tracing::debug!(path = %path.display(), %error, "the rest of an upload stays for now");
                }
            }
            (found.len() as u64, found.iter().map(|(_, bytes)| bytes).sum())
        });
        // What cannot be looked at is looked at the next time.
        found.await.unwrap_or_default()
    }

    async fn remove(&self, paths: Vec<String>) -> Result<(), ArchiveError> {
        let Some(loaded) = self.load().await? else { return Ok(()) };
        let store = loaded.table.object_store();
        for path in paths {
            match store.delete(&StorePath::from(path.as_str())).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => failpoint::hit("vacuum.removed"),
                Err(source) => return Err(self.delta("remove files of")(source.into())),
            }
        }
        Ok(())
    }
}

/// Files of uploads below a folder that were last written before, with their sizes.
fn uploads(folder: &Path, before_micros: i64, found: &mut Vec<(PathBuf, u64)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
        if metadata.is_dir() {
            uploads(&path, before_micros, found);
        } else if is_upload(&path) && modified_micros(&metadata).is_some_and(|micros| micros < before_micros) {
            found.push((path, metadata.len()));
        }
    }
}

fn is_upload(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn modified_micros(metadata: &std::fs::Metadata) -> Option<i64> {
    let since = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_uploads_are_taken_for_them() {
        for (name, is) in
            [("a.parquet#1", true), ("a.parquet", false), ("a#b", false), ("a#", false), ("x/0.json#12", true)]
        {
            assert_eq!(is_upload(Path::new(name)), is, "{name}");
        }
    }
}
