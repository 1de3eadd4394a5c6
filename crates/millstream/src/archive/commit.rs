//! Committing: rows and the offsets up to which they come, in one Delta commit, against the very snapshot in which the
//! offsets were checked.
//!
//! delta-rs looks for conflicts only among commits that landed after the snapshot that it is given, and compares only the
//! names of application transactions. So the check of the offsets is ours, and the snapshot that was checked is the one
//! committed against, without retries of the library.

use arrow::datatypes::SchemaRef;
use deltalake::DeltaTableError;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{StructField, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use tracing::warn;

use super::stage::table_schema;
use super::{ArchiveError, ArchiveTable, Loaded, PARTITION_COLUMN, Staged};
use crate::chain::chain;
use crate::clock::{jitter, now_micros, pause};
use crate::disk;
use crate::failpoint;
use crate::table::Window;
use millstream_core::config::PartitionBy;
use millstream_core::ids::TopicPartition;

/// How often a commit is tried against a fresh snapshot before it is given up.
pub(super) const TRIES: u32 = 40;

/// Longest pause before a commit is tried again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How often rows that a bucket did not take are written again: the library has tried each request for minutes before.
const STAGE_TRIES: u32 = 3;

/// Shortest and longest pause before that.
const STAGE_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Age at which staged files are not committed any more but written anew: files of twice this age that no version has are removed.
pub(super) const STAGED_AT_MOST: Duration = Duration::from_hours(12);

/// What a commit came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is in the table.
    Landed {
        /// The table with the commit in it.
        loaded: Loaded,
        /// What it added.
        staged: Staged,
    },
    /// Another process moved the table on: the window as it was is not ours to write any more.
    Moved(Loaded),
}

/// What a look at the offsets of a table says of a window.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// The table ends where the window begins.
    Open,
    /// The table ends where the window ends: it landed.
    Landed,
    /// The table is further than the window's begin: somebody else wrote to it.
    Moved,
}

impl ArchiveTable {
    /// Brings a window into the table: all of its rows and its offsets, or nothing.
    pub(crate) async fn commit(&self, window: &Window) -> Result<Outcome, ArchiveError> {
        let schema = table_schema(&window.segments, self.partition_by != PartitionBy::None);
        let mut loaded = self.prepared(&schema).await?;
        match self.standing(window, &loaded)? {
            Standing::Open => {}
            Standing::Landed => {
                self.check_moved_by_same_rules(window, &loaded.offsets, &loaded.foreign)?;
                // Whoever committed may not have lived to force it to disk.
                self.sync_log().await?;
                return Ok(Outcome::Landed { loaded, staged: Staged::default() });
            }
            Standing::Moved => {
                self.check_moved_by_same_rules(window, &loaded.offsets, &loaded.foreign)?;
                self.sync_log().await?;
                return Ok(Outcome::Moved(loaded));
            }
        }
        let mut staged = self.stage_patiently(&loaded, window, &schema).await?;
        failpoint::hit("archive.staged");
        let mut tries = 0;
        while let Err(source) = self.try_commit(&mut loaded, window, &staged).await {
            // Others commit to the same table, too: the pause keeps us apart.
            tokio::time::sleep(RETRY_PAUSE.mul_f64(jitter())).await;
            // Whatever the library says of a commit, the table itself tells what is true.
            loaded = self.prepared(&schema).await?;
            match self.standing(window, &loaded)? {
                Standing::Landed => {
                    self.check_moved_by_same_rules(window, &loaded.offsets, &loaded.foreign)?;
                    break;
                }
                Standing::Moved => {
                    self.check_moved_by_same_rules(window, &loaded.offsets, &loaded.foreign)?;
                    self.sync_log().await?;
                    return Ok(Outcome::Moved(loaded));
                }
                Standing::Open if disk::is_full(&source) => {
                    // It was not committed, and takes room that is needed.
                    self.take_back(&loaded, &staged.paths).await;
                    return Err(self.delta("commit to")(source));
                }
                Standing::Open if tries < TRIES => {
                    tries += 1;
                    // Only after the table was opened anew is it certain that nobody has begun to remove them.
                    if staged.is_too_old() {
                        staged = self.stage_patiently(&loaded, window, &schema).await?;
                    }
                }
                Standing::Open => return Err(self.delta("commit to")(source)),
            }
        }
        failpoint::hit("archive.committed");
        self.sync_log().await?;
        Ok(Outcome::Landed { loaded, staged })
    }

    /// Stages a window. What a bucket did not take it may take as another upload: nothing refers to it yet.
    async fn stage_patiently(
        &self,
        loaded: &Loaded,
        window: &Window,
        schema: &SchemaRef,
    ) -> Result<Staged, ArchiveError> {
        let mut tries = 0;
        loop {
            match self.stage(loaded.table.object_store(), window, schema).await {
                Err(error @ ArchiveError::Delta { .. }) if self.local_folder().is_none() && tries < STAGE_TRIES => {
                    warn!(table = %self.name(), error = chain(&error), "rows are written to the bucket once more");
                    tokio::time::sleep(pause(STAGE_PAUSES, tries)).await;
                    tries += 1;
                }
                staged => return staged,
            }
        }
    }

    /// The table, opened anew, with at least these columns. What making it or adding columns says is not believed: the table is
    /// looked at again.
    async fn prepared(&self, schema: &SchemaRef) -> Result<Loaded, ArchiveError> {
        let mut tries = 0;
        loop {
            let Some(loaded) = self.load().await? else {
                match self.create(self.delta_columns(schema)?).await {
                    Ok(loaded) => {
                        failpoint::hit("archive.created");
                        return Ok(loaded);
                    }
                    Err(error) if tries == TRIES => return Err(error),
                    Err(_) => tries += 1,
                }
                continue;
            };
            let missing = self.missing_columns(&loaded, schema)?;
            if missing.is_empty() {
                return Ok(loaded);
            }
            let properties = CommitProperties::default()
                .with_max_retries(0)
                .with_create_checkpoint(false)
                .with_cleanup_expired_logs(Some(false));
            let added = loaded.table.add_columns().with_fields(missing).with_commit_properties(properties).await;
            if let Err(source) = added {
                if tries == TRIES {
                    return Err(self.delta("add columns to")(source));
                }
                tries += 1;
            }
        }
    }

    fn delta_columns(&self, schema: &SchemaRef) -> Result<Vec<StructField>, ArchiveError> {
        let convert = |field: &std::sync::Arc<arrow::datatypes::Field>| -> Result<StructField, ArchiveError> {
            field.as_ref().try_into_kernel().map_err(|source| ArchiveError::Arrange { table: self.name(), source })
        };
        schema.fields().iter().map(convert).collect()
    }

    /// The columns that the table lacks. A column of another type is refused.
    fn missing_columns(&self, loaded: &Loaded, schema: &SchemaRef) -> Result<Vec<StructField>, ArchiveError> {
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        let known = state.schema();
        let mut missing = Vec::new();
        for wanted in self.delta_columns(schema)? {
            match known.field(wanted.name()) {
                None => missing.push(wanted),
                Some(field) if field.data_type() == wanted.data_type() => {}
                Some(field) => {
                    return Err(ArchiveError::TypeChanged {
                        table: self.name(),
                        column: wanted.name().clone(),
                        found: wanted.data_type().to_string(),
                        expected: field.data_type().to_string(),
                    });
                }
            }
        }
        Ok(missing)
    }

    fn standing(&self, window: &Window, loaded: &Loaded) -> Result<Standing, ArchiveError> {
        let offset = |at: &TopicPartition| loaded.offsets.get(at).copied().unwrap_or_default();
        if window.end.iter().all(|(at, &end)| offset(at) == end) {
            return Ok(Standing::Landed);
        }
        let mut standing = Standing::Open;
        for (&at, &expected) in &window.start {
            let found = offset(&at);
            if found < expected || (found > expected && !self.is_shared) {
                return Err(ArchiveError::Conflict { table: self.name(), at, found, expected });
            }
            if found > expected {
                standing = Standing::Moved;
            }
        }
        Ok(standing)
    }

    /// Commits, and brings `loaded` to the version that was committed.
    async fn try_commit(&self, loaded: &mut Loaded, window: &Window, staged: &Staged) -> Result<(), DeltaTableError> {
        failpoint::hit("archive.before_commit");
        let mut transactions: Vec<Transaction> =
            window.end.iter().map(|(&at, end)| transaction(&self.app_id(at), end.0)).collect();
        let seqs = window.next_seqs();
        transactions.extend(seqs.iter().map(|(&(at, publisher), &seq)| transaction(&self.seq_id(at, publisher), seq)));
        transactions.push(transaction(&self.rows_id(), loaded.rows + staged.rows));
        let publishers = seqs.keys().map(|(_, publisher)| publisher + 1).max().unwrap_or(1).max(loaded.publishers);
        transactions.push(transaction(&self.publishers_id(), publishers.into()));
        let foreign = self.with_window(&loaded.foreign, window);
        transactions.extend(self.transactions_of(&foreign));
        let partition_by = (self.partition_by != PartitionBy::None).then(|| vec![PARTITION_COLUMN.to_owned()]);
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
        let properties = CommitProperties::default()
            .with_metadata(commit_facts(staged))
            .with_application_transactions(transactions)
            .with_max_retries(0)
            // Upkeep makes them: rows do not wait for it.
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let committed = CommitBuilder::from(properties)
            .with_actions(staged.actions.clone())
            .build(Some(loaded.table.snapshot()?), loaded.table.log_store(), operation)
            .await?;
        loaded.table.update_incremental(Some(committed.version())).await?;
        loaded.offsets.extend(&window.end);
        loaded.seqs.extend(seqs);
        loaded.rows += staged.rows;
        loaded.publishers = publishers;
        loaded.foreign = foreign;
        Ok(())
    }
}

pub(super) fn transaction(app_id: &str, version: u64) -> Transaction {
    let now_millis = now_micros() / 1000;
    let version = i64::try_from(version).unwrap_or(i64::MAX);
    Transaction::new_with_last_update(app_id, version, Some(now_millis))
}

impl Staged {
    /// Whether its files may be taken for those of a writer that is gone.
    fn is_too_old(&self) -> bool {
        let age = now_micros().saturating_sub(self.began_micros);
        u128::try_from(age).unwrap_or_default() > STAGED_AT_MOST.as_micros()
    }
}

/// What stands in the commit for those who read the history.
fn commit_facts(staged: &Staged) -> HashMap<String, Value> {
    HashMap::from([
        ("millstream.rows".to_owned(), Value::from(staged.rows)),
        ("millstream.files".to_owned(), Value::from(staged.paths.len() as u64)),
        ("millstream.bytes".to_owned(), Value::from(staged.bytes)),
    ])
}
