//! Replacing: files of a table by others in one commit, made against the very snapshot in which all of them were found live.
//!
//! Whoever else works on the table, only one of two commits that take the same file away can land: the other finds it gone.
//! The offsets are not touched; the rows are the same, or fewer by those that are counted as expired in the same commit.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use deltalake::DeltaTableError;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Remove};
use deltalake::protocol::DeltaOperation;
use serde_json::Value;

use super::super::commit::{RETRY_PAUSE, STAGED_AT_MOST, TRIES, transaction};
use super::super::{ArchiveError, ArchiveTable, Loaded};
use super::plan::DataFile;
use super::rewrite::Rewritten;
use crate::clock::{jitter, now_micros};
use crate::failpoint;

/// Why files are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// They were small: the rows stay the same.
    Compact {
        /// Size that was aimed at.
        target_bytes: u64,
    },
    /// Rows are past their retention.
    Expire {
        /// How many leave.
        rows: u64,
    },
}

/// What a replacement came to.
#[derive(Debug)]
pub(crate) enum Replaced {
    /// It is in the table.
    Landed(Box<Loaded>),
    /// A file that was to go is gone already, or the new ones are too old: make a new plan.
    Outdated {
        /// Whether the new files are certainly in no version.
        unused: bool,
    },
}

impl ArchiveTable {
    /// Takes `inputs` away and adds what was written in their place: all of it, or nothing.
    pub(super) async fn replace(
        &self,
        inputs: &[DataFile],
        rewritten: &Rewritten,
        reason: Reason,
    ) -> Result<Replaced, ArchiveError> {
        let paths: HashSet<&str> = inputs.iter().map(|file| file.path.as_str()).collect();
        let mut tries = 0;
        let mut expired = None;
        loop {
            let Some(mut loaded) = self.load().await? else { return Ok(Replaced::Outdated { unused: tries == 0 }) };
            // After it was opened: whoever removes files that no version has makes a version first.
            let age = now_micros().saturating_sub(rewritten.began_micros);
            let removes = self.live(&loaded, &paths, reason)?;
            if removes.len() < paths.len() {
                // An error may have been told after the commit landed.
                let landed = expired == Some(loaded.expired) && self.has(&loaded, rewritten)?;
                if landed {
                    self.sync_log().await?;
                    return Ok(Replaced::Landed(Box::new(loaded)));
                }
                return Ok(Replaced::Outdated { unused: tries == 0 });
            }
            if u128::try_from(age).unwrap_or_default() > STAGED_AT_MOST.as_micros() {
                return Ok(Replaced::Outdated { unused: tries == 0 });
            }
            failpoint::hit("upkeep.before_commit");
            expired = Some(loaded.expired + reason.expired());
            match self.try_replace(&mut loaded, removes, rewritten, reason).await {
                Ok(()) => {
                    failpoint::hit("upkeep.committed");
                    self.sync_log().await?;
                    return Ok(Replaced::Landed(Box::new(loaded)));
                }
                Err(source) if tries == TRIES => return Err(self.delta("commit to")(source)),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(pause(tries)).await;
        }
    }

    /// How the files that are live in a version leave it.
    fn live(&self, loaded: &Loaded, paths: &HashSet<&str>, reason: Reason) -> Result<Vec<Remove>, ArchiveError> {
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        let files = state.log_data();
        let wanted = files.iter().filter(|file| paths.contains(file.path().as_ref()));
        Ok(wanted.map(|file| file.remove_action(reason.changes_data())).collect())
    }

    /// Whether a version has the new files.
    fn has(&self, loaded: &Loaded, rewritten: &Rewritten) -> Result<bool, ArchiveError> {
        let state = loaded.table.snapshot().map_err(self.delta("read"))?;
        let live: HashSet<String> = state.log_data().iter().map(|file| file.path().into_owned()).collect();
        Ok(rewritten.adds.iter().all(|add| live.contains(&add.path)))
    }

    async fn try_replace(
        &self,
        loaded: &mut Loaded,
        removes: Vec<Remove>,
        rewritten: &Rewritten,
        reason: Reason,
    ) -> Result<(), DeltaTableError> {
        let facts = HashMap::from([
            ("millstream.replacedFiles".to_owned(), Value::from(removes.len())),
            ("millstream.files".to_owned(), Value::from(rewritten.adds.len())),
            ("millstream.bytes".to_owned(), Value::from(rewritten.bytes())),
        ]);
        let mut transactions = Vec::new();
        let operation = match reason {
            Reason::Compact { target_bytes } => {
                let target_size = i64::try_from(target_bytes).unwrap_or(i64::MAX);
                DeltaOperation::Optimize { predicate: None, target_size }
            }
            Reason::Expire { rows } => {
                loaded.expired += rows;
                transactions.push(transaction(&self.expired_id(), loaded.expired));
                DeltaOperation::Delete { predicate: None }
            }
        };
        let adds = rewritten.adds.iter().cloned().map(|mut add| {
            add.data_change = reason.changes_data();
            Action::Add(add)
        });
        let actions = removes.into_iter().map(Action::Remove).chain(adds).collect();
        let properties = CommitProperties::default()
            .with_metadata(facts)
            .with_application_transactions(transactions)
            .with_max_retries(0)
            .with_create_checkpoint(false)
            .with_cleanup_expired_logs(Some(false));
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(loaded.table.snapshot()?), loaded.table.log_store(), operation)
            .await?;
        loaded.table.update_incremental(Some(committed.version())).await
    }
}

impl Reason {
    fn changes_data(self) -> bool {
        match self {
            Self::Compact { .. } => false,
            Self::Expire { .. } => true,
        }
    }

    fn expired(self) -> u64 {
        match self {
            Self::Compact { .. } => 0,
            Self::Expire { rows } => rows,
        }
    }
}

/// Rows come first: the archiver, who tries again sooner, wins over upkeep.
fn pause(tries: u32) -> Duration {
    RETRY_PAUSE.mul_f64(f64::from(tries.min(20)) * (1.0 + jitter()))
}
