//! What a table keeps of a topic that another program writes, beside rows and offsets: how many records there were and how many
//! of them the filter left out, and by which rules the records of each partition were cleaned.
//!
//! Such a topic is cleaned while it is received, and its rows and rejects are committed to two tables, one after the other. So
//! that a record is in one of them, and once, both must have gone by the same rules; whoever finds that another process went on
//! by other rules stops.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use deltalake::DeltaTable;
use deltalake::kernel::Transaction;
use millstream_core::ids::{Offset, Topic, TopicPartition};
use millstream_core::progress::Offsets;

use super::commit::transaction;
use super::{ArchiveError, ArchiveTable, unsigned};
use crate::table::Window;

/// What stands in a table; counts are those of the table of clean rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OfForeign {
    /// Records below the table's offsets.
    pub(crate) records: u64,
    /// Those of them that the filter left out.
    pub(crate) filtered: u64,
    /// Hash of the rules that the last records of each partition were cleaned by.
    pub(crate) rules: BTreeMap<TopicPartition, u64>,
    /// From where on they were.
    pub(crate) rules_from: Offsets,
}

impl ArchiveTable {
    /// Reads it from a table that was loaded.
    pub(super) async fn of_foreign(&self, table: &DeltaTable) -> Result<OfForeign, ArchiveError> {
        let state = table.snapshot().map_err(self.delta("read"))?;
        let log_store = table.log_store();
        let version = async |app_id: String| {
            let version = state.transaction_version(&*log_store, app_id).await.map_err(self.delta("read"))?;
            Ok::<u64, ArchiveError>(unsigned(version))
        };
        let mut kept = OfForeign::default();
        if self.rules.is_none() {
            return Ok(kept);
        }
        kept.records = version(self.records_id()).await?;
        kept.filtered = version(self.filtered_id()).await?;
        for &at in &self.partitions {
            kept.rules.insert(at, version(self.rules_id(at)).await?);
            kept.rules_from.insert(at, Offset(version(self.rules_from_id(at)).await?));
        }
        Ok(kept)
    }

    /// What a window makes of it.
    pub(super) fn with_window(&self, kept: &OfForeign, window: &Window) -> OfForeign {
        let mut next = kept.clone();
        let Some(rules) = self.rules else { return next };
        let (records, filtered) = window.tally();
        next.records += records;
        next.filtered += filtered;
        for (&at, &start) in &window.start {
            if window.end.get(&at) != Some(&start) && next.rules.insert(at, rules) != Some(rules) {
                next.rules_from.insert(at, start);
            }
        }
        next
    }

    /// It, as a commit holds it.
    pub(super) fn transactions_of(&self, kept: &OfForeign) -> Vec<Transaction> {
        let mut transactions = Vec::new();
        if self.rules.is_some() {
            let rules = kept.rules.iter().map(|(&at, &rules)| transaction(&self.rules_id(at), rules));
            let rules_from = kept.rules_from.iter().map(|(&at, from)| transaction(&self.rules_from_id(at), from.0));
            transactions.extend(rules.chain(rules_from));
            transactions.push(transaction(&self.records_id(), kept.records));
            transactions.push(transaction(&self.filtered_id(), kept.filtered));
        }
        transactions
    }

    /// Whether the last records of a partition were cleaned by the rules of now.
    pub(crate) fn is_by_rules_of_now(&self, kept: &OfForeign, at: TopicPartition) -> bool {
        self.rules.is_some() && kept.rules.get(&at).copied() == self.rules
    }

    /// Where one table is ahead of the other, the records between must come out as they did: by the same rules. `rows` and
    /// `rejects`: what the tables hold.
    pub(crate) fn check_same_rules(
        &self,
        rows: Option<(&Offsets, &OfForeign)>,
        rejects: Option<(&Offsets, &OfForeign)>,
    ) -> Result<(), ArchiveError> {
        let Some(now) = self.rules else { return Ok(()) };
        let offset = |table: Option<(&Offsets, &OfForeign)>, at| {
            table.and_then(|(offsets, _)| offsets.get(&at).copied()).unwrap_or_default()
        };
        let is_by = |table: Option<(&Offsets, &OfForeign)>, at, from: Offset| {
            table.is_none_or(|(_, kept)| {
                kept.rules.get(&at) == Some(&now) && kept.rules_from.get(&at).is_none_or(|&since| since <= from)
            })
        };
        for &at in self.partitions.iter().filter(|at| at.topic == Topic::Rows) {
            let (of_rows, of_rejects) = (offset(rows, at), offset(rejects, at.rejects()));
            let is_same = match of_rows.cmp(&of_rejects) {
                Ordering::Equal => true,
                Ordering::Greater => is_by(rows, at, of_rejects),
                Ordering::Less => is_by(rejects, at.rejects(), of_rows),
            };
            if !is_same {
                return Err(ArchiveError::HalfUnderOtherRules { partition: at.partition });
            }
        }
        Ok(())
    }

    /// Refuses a table that another process, with other rules, brought further than the begin of a window: what we hold of those
    /// records for the other table may contradict it.
    pub(super) fn check_moved_by_same_rules(
        &self,
        window: &Window,
        offsets: &Offsets,
        kept: &OfForeign,
    ) -> Result<(), ArchiveError> {
        let Some(now) = self.rules else { return Ok(()) };
        for (at, &start) in &window.start {
            let moved = offsets.get(at).copied().unwrap_or_default() > start;
            if moved && kept.rules.get(at).is_some_and(|&rules| rules != now) {
                return Err(ArchiveError::HalfUnderOtherRules { partition: at.partition });
            }
        }
        Ok(())
    }

    /// App id whose version is the number of records of the topic below the table's offsets.
    fn records_id(&self) -> String {
        format!("{}/records", self.app)
    }

    /// App id whose version is the number of those that the filter left out.
    fn filtered_id(&self) -> String {
        format!("{}/filtered", self.app)
    }

    /// App id whose version is the hash of the rules of a partition's last records.
    fn rules_id(&self, at: TopicPartition) -> String {
        format!("{}/{at}/rules", self.app)
    }

    /// App id whose version is the offset from which on they hold.
    fn rules_from_id(&self, at: TopicPartition) -> String {
        format!("{}/{at}/rules/from", self.app)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use millstream_core::config::{Location, PartitionBy, Upkeep};
    use millstream_core::ids::StreamId;

    use super::*;
    use crate::archive::ArchiveSettings;

    const AT: TopicPartition = TopicPartition { topic: Topic::Rows, partition: 0 };

    pub(in crate::archive) fn table(folder: &tempfile::TempDir, rules: u64) -> ArchiveTable {
        let settings = ArchiveSettings {
            path: Location::Folder(folder.path().to_owned()),
            pipeline: "orders".to_owned(),
            stream: StreamId(uuid::Uuid::nil()),
            partitions: vec![AT, AT.rejects()],
            partition_by: PartitionBy::None,
            event_time: None,
            is_shared: true,
            rules: Some(rules),
            upkeep: Upkeep {
                compact: false,
                target_file_bytes: 1 << 20,
                history: Duration::from_hours(1),
                checkpoint_versions: NonZeroU32::MIN,
                retention: None,
            },
        };
        ArchiveTable::new(&settings, Topic::Rows).unwrap()
    }

    fn at(at: TopicPartition, offset: u64, rules: u64, from: u64) -> (Offsets, OfForeign) {
        let kept = OfForeign {
            rules: BTreeMap::from([(at, rules)]),
            rules_from: Offsets::from([(at, Offset(from))]),
            ..OfForeign::default()
        };
        (Offsets::from([(at, Offset(offset))]), kept)
    }

    #[test]
    fn records_that_only_one_table_holds_were_cleaned_by_the_rules_of_now_or_nobody_goes_on() {
        let folder = tempfile::TempDir::new().unwrap();
        let table = table(&folder, 7);
        let check = |rows: &(Offsets, OfForeign), rejects: &(Offsets, OfForeign)| {
            table.check_same_rules(Some((&rows.0, &rows.1)), Some((&rejects.0, &rejects.1))).is_ok()
        };
        let rejects = |offset, rules, from| at(AT.rejects(), offset, rules, from);
        assert!(check(&at(AT, 9, 5, 0), &rejects(9, 5, 0)), "level: rules may change");
        assert!(check(&at(AT, 9, 7, 3), &rejects(5, 7, 3)));
        assert!(!check(&at(AT, 9, 5, 0), &rejects(5, 5, 0)), "rows are ahead, by other rules");
        assert!(!check(&at(AT, 9, 7, 8), &rejects(5, 5, 0)), "rows are ahead, in part by other rules");
        assert!(!check(&at(AT, 5, 7, 0), &rejects(9, 5, 0)), "rejects are ahead, by other rules");
    }

    #[test]
    fn a_table_that_others_moved_on_by_other_rules_stops_a_window_and_by_the_same_rules_it_does_not() {
        let folder = tempfile::TempDir::new().unwrap();
        let table = table(&folder, 7);
        let window = Window {
            start: Offsets::from([(AT, Offset(5))]),
            end: Offsets::from([(AT, Offset(9))]),
            segments: Vec::new(),
        };
        let check =
            |(offsets, kept): (Offsets, OfForeign)| table.check_moved_by_same_rules(&window, &offsets, &kept).is_ok();
        assert!(check(at(AT, 8, 7, 0)) && check(at(AT, 5, 6, 0)));
        assert!(!check(at(AT, 8, 6, 0)) && !check(at(AT, 9, 6, 0)));

        let (_, before) = at(AT, 5, 6, 2);
        let next = table.with_window(&before, &window);
        assert_eq!((next.rules[&AT], next.rules_from[&AT]), (7, Offset(5)));
        assert_eq!(table.with_window(&next, &window).rules_from[&AT], Offset(5));
    }
}
