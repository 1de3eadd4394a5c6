//! The recount of a topic that another program writes. There are no files to clean again: what is archived is compared with the
//! archive's own counts of records, and with the records that are still in the topic, cleaned once more.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_core::config::Config;
use millstream_core::ids::{Topic, TopicPartition};
use millstream_core::progress::Offsets;

use super::{EXAMPLES, Fate, Report, each_row, stream_of_rows};
use crate::chain::chain;
use crate::durable::Durable;
use crate::pipeline::PipelineError;
use crate::stream::{Record, Value};
use millstream_core::record::{FILE, ROW};

/// Bytes of records that are asked for at once.
const READ_BYTES: u64 = 8 * 1024 * 1024;

/// How long no record may come before the topic is taken to hold no more of those that are wanted.
const SILENCE: Duration = Duration::from_secs(5);

/// What the tables hold of a partition: offsets, in order.
#[derive(Debug, Default)]
struct Found {
    rows: Vec<u64>,
    rejects: Vec<u64>,
}

/// Recounts. With `fast` the records that are still in the topic are not looked at.
pub(super) async fn verify(config: &Config, fast: bool) -> Result<Report, PipelineError> {
    let (durable, _, _) = Durable::look(config).await?;
    let mut report = Report::default();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for (topic, table) in [(Topic::Rows, &durable.archive.rows), (Topic::Rejects, &durable.archive.rejects)] {
        if let Some(table) = table {
            note(table, topic, &mut found).await.map_err(|error| PipelineError::Failed(chain(&error)))?;
        }
    }
    let kept = durable.archive.rows.as_ref().map(|table| table.foreign.clone()).unwrap_or_default();
    for at in TopicPartition::rows(config.stream.partitions.get()) {
        let file = format!("{}/{}", config.stream.topic, at.partition);
        let end = |at| durable.archived.get(&at).copied().unwrap_or_default().0;
        let of_partition = found.entry(file.clone()).or_default();
        count(&file, of_partition, [end(at), end(at.rejects())], &mut report);
    }
    for file in found.keys().filter(|file| !is_of(config, file)) {
        report.problems.push(format!("rows in the archive are of `{file}`, which is no partition of the topic"));
    }
    report.filtered = kept.filtered;
    for bounds in durable.log.state().partitions.iter().filter(|bounds| bounds.at.topic == Topic::Rows) {
        let archived = durable.archived.get(&bounds.at).copied().unwrap_or_default();
        report.in_flight += bounds.end.0.saturating_sub(archived.max(bounds.begin).0);
    }
    let counted = report.delivered + report.rejected + report.filtered;
    let is_level = |at: TopicPartition| durable.archived.get(&at) == durable.archived.get(&at.rejects());
    if !TopicPartition::rows(config.stream.partitions.get()).all(is_level) {
        report.notes.push(
            "a process ended between the commits of rows and of rejects: the next start goes on there".to_owned(),
        );
    } else if counted != kept.records {
        report.lost = kept.records.saturating_sub(counted);
        report.problems.push(format!(
            "the archive counts {} records of the topic, and {counted} of them are rows, rejects or counted as filtered",
            kept.records
        ));
    }
    report.rows = counted + report.in_flight;
    if !fast {
        compare(config, &durable, &kept.rules_from, &found, &mut report).await?;
    }
    report.notes.push(
        "a file is a partition of the topic here, and a row is a record; what is in flight is counted by offsets"
            .to_owned(),
    );
    report.ok = report.problems.is_empty();
    Ok(report)
}

fn is_of(config: &Config, file: &str) -> bool {
    let partition = file.strip_prefix(config.stream.topic.as_str()).and_then(|rest| rest.strip_prefix('/'));
    partition
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| number < config.stream.partitions.get())
}

async fn note(
    table: &crate::archive::ArchivedTable,
    topic: Topic,
    found: &mut BTreeMap<String, Found>,
) -> Result<(), datafusion::error::DataFusionError> {
    stream_of_rows(table, &[FILE, ROW], |batch| {
        each_row(batch, |file, row| {
            if !found.contains_key(file) {
                found.insert(file.to_owned(), Found::default());
            }
            if let Some(found) = found.get_mut(file) {
                match topic {
                    Topic::Rows => found.rows.push(row),
                    Topic::Rejects => found.rejects.push(row),
                }
            }
        })
    })
    .await
}

/// Counts what the tables hold of a partition: each offset once, and below the end of its table.
fn count(file: &str, found: &mut Found, ends: [u64; 2], report: &mut Report) {
    report.files += 1;
    let mut repeated = Vec::new();
    let mut misplaced = Vec::new();
    for (offsets, end) in [&mut found.rows, &mut found.rejects].into_iter().zip(ends) {
        offsets.sort_unstable();
        repeated.extend(offsets.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]));
        offsets.dedup();
        misplaced.extend(offsets.iter().copied().filter(|&offset| offset >= end));
    }
    repeated.extend(found.rows.iter().copied().filter(|offset| found.rejects.binary_search(offset).is_ok()));
    report.delivered += found.rows.len() as u64;
    report.rejected += found.rejects.len() as u64;
    report.repeated += repeated.len() as u64;
    report.misplaced += misplaced.len() as u64;
    tell(file, "repeated", &repeated, report);
    tell(file, "beyond what the archive says that it holds", &misplaced, report);
}

/// Cleans what is still in the topic of the archived records again, as far as the rules of now were those of then.
async fn compare(
    config: &Config,
    durable: &Durable,
    rules_from: &Offsets,
    found: &BTreeMap<String, Found>,
    report: &mut Report,
) -> Result<(), PipelineError> {
    let mut next = Offsets::new();
    let mut ends = Offsets::new();
    for bounds in durable.log.state().partitions {
        let at = TopicPartition { topic: Topic::Rows, ..bounds.at };
        let archived = |at| durable.archived.get(&at).copied().unwrap_or_default();
        let end = archived(at).min(archived(at.rejects()));
        let begin = bounds.begin.max(rules_from.get(&at).copied().unwrap_or_default());
        if begin < end && durable.has_rules_of_now(at) {
            next.insert(at, begin);
            ends.insert(at, end);
        }
    }
    let mut looked_at = 0;
    let mut wrong: BTreeMap<(String, &str), Vec<u64>> = BTreeMap::new();
    while !next.is_empty() {
        let Ok(records) = tokio::time::timeout(SILENCE, durable.log.read(&next, READ_BYTES)).await else { break };
        for record in records? {
            let rows = TopicPartition { topic: Topic::Rows, ..record.at };
            let Some(&end) = ends.get(&rows) else { continue };
            let file = format!("{}/{}", config.stream.topic, rows.partition);
            let Some(of_partition) = found.get(&file) else { continue };
            for (offset, fate) in fates(&record).into_iter().filter(|(offset, _)| *offset < end.0) {
                looked_at += 1;
                let is_in = |offsets: &Vec<u64>| offsets.binary_search(&offset).is_ok();
                let place = (is_in(&of_partition.rows), is_in(&of_partition.rejects));
                let what = match (place, fate) {
                    ((true, false), Fate::Delivered)
                    | ((false, true), Fate::Rejected)
                    | ((false, false), Fate::Filtered) => continue,
                    ((false, false), _) => "lost",
                    _ => "misplaced",
                };
                wrong.entry((file.clone(), what)).or_default().push(offset);
            }
            if record.at.topic == Topic::Rows {
                next.insert(rows, record.end());
            }
        }
        next.retain(|at, next| ends.get(at).is_some_and(|end| *next < *end));
    }
    let mut lost = 0;
    for ((file, what), offsets) in wrong {
        match what {
            "lost" => lost += offsets.len() as u64,
            _ => report.misplaced += offsets.len() as u64,
        }
        tell(&file, what, &offsets, report);
    }
    // The archive's own counts may have told of some of them already.
    report.lost = report.lost.max(lost);
    report.notes.push(format!(
        "{looked_at} of the archived records are still in the topic and were cleaned again by the same rules; the others are as counted"
    ));
    Ok(())
}

/// What becomes of each record that this record of the log tells of.
fn fates(record: &Record) -> Vec<(u64, Fate)> {
    let Value::Rows { offsets, tally, .. } = &record.value else { return Vec::new() };
    let fate = if record.at.topic == Topic::Rows { Fate::Delivered } else { Fate::Rejected };
    let filtered = tally.filtered.iter().map(|&offset| (offset, Fate::Filtered));
    offsets.iter().map(|&offset| (offset, fate)).chain(filtered).collect()
}

fn tell(file: &str, what: &str, offsets: &[u64], report: &mut Report) {
    if offsets.is_empty() {
        return;
    }
    let examples: Vec<String> = offsets.iter().take(EXAMPLES).map(ToString::to_string).collect();
    report.problems.push(format!("`{file}`: {} records {what}, such as offset {}", offsets.len(), examples.join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_are_there_twice_in_both_tables_or_beyond_the_end_are_told() {
        let mut found = Found { rows: vec![5, 1, 3, 3, 9], rejects: vec![2, 5] };
        let mut report = Report::default();
        count("orders/0", &mut found, [9, 9], &mut report);
        assert_eq!((report.delivered, report.rejected), (4, 2));
        assert_eq!((report.repeated, report.misplaced), (2, 1), "{:?}", report.problems);

        let mut report = Report::default();
        count("orders/0", &mut Found { rows: vec![2, 1], rejects: vec![0] }, [3, 3], &mut report);
        assert_eq!((report.repeated, report.misplaced, report.problems.len()), (0, 0, 0));
    }
}
