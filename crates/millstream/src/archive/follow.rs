//! Following: for a process that archives nothing, takes in each version that others commit.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, warn};

use super::{ArchiveError, ArchiveTable};
use crate::chain::chain;
use crate::stop::{Phase, StopToken};
use crate::table::LiveTable;

/// How often a new version is looked for.
const INTERVAL: Duration = Duration::from_millis(500);

/// The follower.
#[derive(Debug)]
pub(crate) struct Follower {
    /// Table of clean rows, then of rejects.
    pub(crate) tables: [ArchiveTable; 2],
    /// What is told about new versions.
    pub(crate) live: Arc<LiveTable>,
}

impl Follower {
    /// Follows until `stop` says so.
    pub(crate) async fn run(self, mut stop: StopToken) -> Result<(), ArchiveError> {
        let mut versions: [Option<u64>; 2] = [None, None];
        loop {
            for (table, version) in self.tables.iter().zip(&mut versions) {
                match self.follow(table, version).await {
                    Ok(()) => {}
                    // It is older than what is told, and the next look may succeed.
                    Err(error) => {
                        warn!(table = %table.name(), error = chain(&error), "the archive cannot be looked at; trying again");
                    }
                }
            }
            self.live.tidy(crate::clock::now_micros());
            tokio::select! {
                () = stop.reached(Phase::Drain) => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn follow(&self, table: &ArchiveTable, known: &mut Option<u64>) -> Result<(), ArchiveError> {
        if let Some(known) = *known
            && !table.is_newer_than(known).await?
        {
            return Ok(());
        }
        let Some(loaded) = table.load().await? else { return Ok(()) };
        let archived = Arc::new(table.for_queries(loaded).await?);
        debug!(table = %table.name(), version = archived.version, "new version of the archive");
        *known = Some(archived.version);
        self.live.archived(table.topic, archived);
        Ok(())
    }
}
