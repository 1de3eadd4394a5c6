//! Receiving as one of several processes: a consumer group says which partitions are ours, the archive says from where.
//!
//! The group only avoids work that is done twice. That no row is archived twice is decided by the offsets in the archive's
//! commits, whatever the group believes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::TopicPartition;
use millstream_core::progress::Offsets;
use tokio::sync::watch;
use tracing::info;

use super::{READ_BYTES, ReceiveError, Receiver};
use crate::archive::{ArchiveTable, Loaded};
use crate::stop::{Phase, StopToken};
use crate::stream::kafka::Membership;
use crate::table::Seqs;

/// How long rows of partitions that go to another process may take to be archived first.
const HAND_OVER: Duration = Duration::from_secs(5);

/// A receiver that shares its partitions with others.
pub(crate) struct Member {
    /// What all receivers do.
    pub(crate) receiver: Receiver,
    /// Table of clean rows, then of rejects.
    pub(crate) tables: [ArchiveTable; 2],
    /// Place in the group.
    pub(crate) membership: Arc<Membership>,
    /// Asks the archiver not to wait.
    pub(crate) hurry: watch::Sender<u64>,
}

impl Member {
    /// Receives what the group gives, until `stop` says so. Tells `received` then.
    pub(crate) async fn run(self, received: watch::Sender<bool>, mut stop: StopToken) -> Result<(), ReceiveError> {
        let mut wanted = self.membership.wanted();
        let mut next = Offsets::new();
        let mut seqs = Seqs::new();
        loop {
            let now = wanted.borrow_and_update().clone();
            self.change(&now, &mut next, &mut seqs, &mut stop).await?;
            self.membership.settled(&now);
            self.receiver.skip_archived(&mut next, &mut seqs);
            let records = tokio::select! {
                () = stop.reached(Phase::Drain) => {
                    received.send_replace(true);
                    return Ok(());
                }
                // The membership lives as long as we do.
                _ = wanted.changed() => continue,
                records = self.receiver.log.read(&next, READ_BYTES), if !next.is_empty() => records?,
            };
            for record in records {
                self.receiver.take(record, &mut next, &mut seqs).await?;
                if !self.receiver.room(&mut stop).await {
                    return Ok(());
                }
            }
        }
    }

    /// Gives up what is not wanted any more and takes up what is new.
    async fn change(
        &self,
        wanted: &BTreeSet<TopicPartition>,
        next: &mut Offsets,
        seqs: &mut Seqs,
        stop: &mut StopToken,
    ) -> Result<(), ReceiveError> {
        let given_up: Vec<TopicPartition> = next.keys().filter(|at| !wanted.contains(at)).copied().collect();
        let new: Vec<TopicPartition> = wanted.iter().filter(|at| !next.contains_key(at)).copied().collect();
        if !given_up.is_empty() {
            self.archive_first(&given_up, stop).await;
            for at in &given_up {
                self.receiver.live.disown(*at);
                next.remove(at);
                seqs.retain(|(of, _), _| of != at);
            }
        }
        if !new.is_empty() {
            let (rows, rejects) = (self.tables[0].load().await?, self.tables[1].load().await?);
            self.tables[0].check_same_rules(rows.as_ref().map(Loaded::held), rejects.as_ref().map(Loaded::held))?;
            for (table, loaded) in self.tables.iter().zip([rows, rejects]) {
                if loaded.is_some() {
                    // Whoever committed last may not have lived to force it to disk.
                    table.sync_log().await?;
                }
                for &at in new.iter().filter(|at| at.topic == table.topic) {
                    let offset =
                        loaded.as_ref().and_then(|loaded| loaded.offsets.get(&at)).copied().unwrap_or_default();
                    self.receiver.live.own(at, offset);
                    next.insert(at, offset);
                    let due = loaded.iter().flat_map(|loaded| &loaded.seqs).filter(|((of, _), _)| *of == at);
                    seqs.extend(due.map(|(&key, &seq)| (key, seq)));
                }
            }
        }
        if !given_up.is_empty() || !new.is_empty() {
            let all: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            info!(partitions = all.join(" "), "partitions of this receiver");
        }
        Ok(())
    }

    /// Waits for a moment that rows of these partitions are archived, so that the next owner need not read them again.
    async fn archive_first(&self, partitions: &[TopicPartition], stop: &mut StopToken) {
        let live = &self.receiver.live;
        let mut changed = live.changed();
        self.hurry.send_modify(|count| *count += 1);
        let archived = async {
            loop {
                let (high, archived) = (live.high(), live.archived_offsets());
                if partitions.iter().all(|at| high.get(at) == archived.get(at)) {
                    return;
                }
                // The table lives as long as we do.
                let _ = changed.changed().await;
            }
        };
        tokio::select! {
            () = stop.reached(Phase::Abort) => {}
            () = archived => {}
            () = tokio::time::sleep(HAND_OVER) => {}
        }
    }
}
