//! How a publisher starts: it takes its transactional id, which fences whoever had it, and then reads what is true.
//!
//! The layout of the stream changes under a transactional id of its own, in two steps: first it says that files are being
//! moved, so that no publisher goes on; then every old publisher is fenced and read, and the files are given to their new
//! owners. A publisher looks at the layout once more after its first transaction: either it sees that files are being moved,
//! or whoever moves them has fenced it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::ids::{StreamId, TopicPartition};
use millstream_core::progress::{FilePhase, FileProgress, PublisherProgress};
use tracing::info;
use uuid::Uuid;

use super::client::Client;
use super::error::KafkaLogError;
use super::progress::{FORMAT, Kept, Layout, Progress, file_key, owner, partition};
use super::read::all_watermarks;
use super::settings::LAYOUT_PARTITION;
use super::write::{Step, Writer};
use crate::clock::jitter;
use crate::failpoint;
use crate::stream::{PublisherId, Recovered};

/// How often a start is tried when others start at the same moment.
const TRIES: u32 = 20;

/// How often the end of a short transaction is asked for.
const COMMIT_TRIES: u32 = 12;

/// A publisher that may publish.
pub(super) struct Started {
    pub(super) writer: Writer,
    pub(super) layout: Layout,
    pub(super) recovered: Recovered,
}

/// Takes the place of publisher `id` of the stream and reads what it must know. `instance` names this process; `was_started` tells
/// that it held the place before, so that another process in it is not pushed out again. Blocks.
pub(super) fn start(
    client: &Arc<Client>,
    id: PublisherId,
    instance: &str,
    was_started: bool,
) -> Result<Started, KafkaLogError> {
    let mut last = None;
    for _ in 0..TRIES {
        let progress = Progress::read(client)?;
        if was_started {
            check_place(&progress, id, instance)?;
        }
        if was_started
            && let Some(now) = progress.layout.as_ref().map(|layout| layout.publishers).filter(|&now| now != id.count)
        {
            // Whoever runs already gives way to those who start.
            return Err(KafkaLogError::Recounted { index: id.index, count: id.count, now });
        }
        let layout = match &progress.layout {
            Some(layout) if layout.publishers == id.count && !layout.moving => layout.clone(),
            Some(_) | None => match settle(client, Some(id.count)) {
                Ok(layout) => layout,
                // Another process settles at the same moment: let it.
                Err(KafkaLogError::Fenced { .. } | KafkaLogError::Aborted { .. }) => {
                    stand_back();
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        match take_place(client, id, instance, was_started, &layout) {
            Ok(Some(started)) => return Ok(started),
            Ok(None) => {}
            Err(error @ KafkaLogError::Fenced { .. }) => {
                stand_back();
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| KafkaLogError::Fenced { reason: "other publishers start over and over".to_owned() }))
}

/// None when the layout changed meanwhile.
fn take_place(
    client: &Arc<Client>,
    id: PublisherId,
    instance: &str,
    was_started: bool,
    layout: &Layout,
) -> Result<Option<Started>, KafkaLogError> {
    let writer = Writer::open(client, &transactional_id(layout.stream, id.index))?;
    writer.sweep(id.index)?;
    failpoint::hit("kafka.fenced");
    let own = [partition(id.index)];
    client.wait_until_stable(&client.settings.names.progress, &own)?;
    let progress = Progress::read(client)?;
    if was_started {
        check_place(&progress, id, instance)?;
    }
    writer.begin()?;
    writer.put_instance(id.index, instance)?;
    commit(&writer)?;
    // Not before the instance is seen by all: see above.
    client.wait_until_stable(&client.settings.names.progress, &[own[0], partition(LAYOUT_PARTITION)])?;
    let mut progress = Progress::read(client)?;
    if progress.layout.as_ref() != Some(layout) {
        return Ok(None);
    }
    let known_schema = progress.publishers.values().find_map(|kept| kept.publisher.as_ref()?.known_schema.clone());
    let next_seqs = progress.next_seqs();
    let rules = progress.rules();
    let others = progress.files_of_others(id.index);
    let kept = progress.publishers.remove(&id.index).unwrap_or_default();
    let first = PublisherProgress { next_sequence: u64::from(id.index), known_schema, ..PublisherProgress::default() };
    let recovered = Recovered { next_seqs, rules, others, ..recovered(kept, first) };
    info!(publisher = id.index, publishers = id.count, stream = %layout.stream, "publishing");
    Ok(Some(Started { writer, layout: layout.clone(), recovered }))
}

/// What a publisher kept, as it goes on with it; `first` is where a new one begins.
pub(super) fn recovered(kept: Kept, first: PublisherProgress) -> Recovered {
    let mut files: Vec<FileProgress> = kept.files.into_values().collect();
    files.sort_by_key(|file| file.sequence);
    Recovered { publisher: kept.publisher.unwrap_or(first), files, ..Recovered::default() }
}

/// Whether the place is still ours.
fn check_place(progress: &Progress, id: PublisherId, instance: &str) -> Result<(), KafkaLogError> {
    let found = progress.publishers.get(&id.index).and_then(|kept| kept.instance.as_deref());
    if found == Some(instance) { Ok(()) } else { Err(KafkaLogError::TakenOver { index: id.index, count: id.count }) }
}

/// Makes the stream if there is none, for so many publishers; whoever does not publish takes any number. Nobody who publishes
/// is disturbed.
pub(super) fn make(client: &Arc<Client>, publishers: Option<u32>) -> Result<Layout, KafkaLogError> {
    for _ in 0..TRIES {
        if let Some(layout) = Progress::read(client)?.layout {
            return Ok(layout);
        }
        match settle(client, publishers) {
            Err(KafkaLogError::Fenced { .. } | KafkaLogError::Aborted { .. }) => stand_back(),
            ended => return ended,
        }
    }
    Err(KafkaLogError::Fenced { reason: "other processes start over and over".to_owned() })
}

/// Keeps processes that start at the same moment apart.
fn stand_back() {
    std::thread::sleep(Duration::from_secs(3).mul_f64(jitter()));
}

/// That no record is in topics that are about to become a stream's: they would be another program's, and be deleted in time.
fn check_empty(client: &Arc<Client>) -> Result<(), KafkaLogError> {
    for (at, (begin, end)) in all_watermarks(client, TopicPartition::all(client.settings.partitions))? {
        if begin < end {
            let topic = client.settings.names.of(at.topic).to_owned();
            let problem = "has records that Millstream did not write, or its `.progress` was deleted: name another `stream.topic`; to \
                           receive what another program writes, set `stream.kafka.foreign`";
            return Err(KafkaLogError::Topic { topic, problem: problem.to_owned() });
        }
    }
    Ok(())
}

/// Makes the stream, or gives its files to another number of publishers; whoever does not publish takes any number.
fn settle(client: &Arc<Client>, wanted: Option<u32>) -> Result<Layout, KafkaLogError> {
    let writer = Writer::open(client, &format!("millstream-{}-start", client.settings.names.rows))?;
    writer.sweep_progress()?;
    client.wait_until_stable(&client.settings.names.progress, &[partition(LAYOUT_PARTITION)])?;
    let progress = Progress::read(client)?;
    let Some(before) = progress.layout else {
        check_empty(client)?;
        let count = wanted.unwrap_or(1);
        let stream = StreamId(Uuid::new_v4());
        let layout = Layout { format: FORMAT, stream, publishers: count, most_publishers: count, moving: false };
        put_layout(&writer, &layout)?;
        info!(%stream, publishers = count, "stream made");
        return Ok(layout);
    };
    let count = wanted.unwrap_or(before.publishers);
    if before.publishers == count && !before.moving {
        return Ok(before);
    }
    info!(before = before.publishers, now = count, "files are given to another number of publishers");
    let most_publishers = before.most_publishers.max(count);
    let moving = Layout { publishers: count, most_publishers, moving: true, ..before };
    put_layout(&writer, &moving)?;
    failpoint::hit("kafka.moving");
    for index in 0..most_publishers {
        Writer::open(client, &transactional_id(moving.stream, index))?.sweep(index)?;
    }
    let all: Vec<i32> = (0..most_publishers).map(partition).collect();
    client.wait_until_stable(&client.settings.names.progress, &all)?;
    let progress = Progress::read(client)?;
    let settled = Layout { moving: false, ..moving };
    let moves = moves(&progress.publishers, count);
    let half = moves.iter().find(|(_, _, file)| file.phase == FilePhase::Started);
    if let Some((from, _, file)) = half.filter(|_| client.settings.has_dedup) {
        // Its keys are known to its publisher only.
        return Err(KafkaLogError::HalfPublished { file: file.file.clone(), publisher: *from, count });
    }
    writer.begin()?;
    for (from, to, file) in moves {
        writer.put_progress(from, &file_key(&file.file), None)?;
        let value = serde_json::to_vec(file).unwrap_or_default();
        writer.put_progress(to, &file_key(&file.file), Some(&value))?;
    }
    writer.put_layout(&settled)?;
    commit(&writer)?;
    Ok(settled)
}

/// Files that belong to another publisher from now on. A file that is under way stays with its publisher, who knows its rules and
/// its keys, as long as there is one of that number.
fn moves(publishers: &BTreeMap<u32, Kept>, count: u32) -> Vec<(u32, u32, &FileProgress)> {
    let mut moves = Vec::new();
    for (&from, kept) in publishers {
        for file in kept.files.values() {
            let to = owner(&file.file, count);
            let stays = file.phase == FilePhase::Started && from < count;
            if to != from && !stays {
                moves.push((from, to, file));
            }
        }
    }
    moves
}

fn put_layout(writer: &Writer, layout: &Layout) -> Result<(), KafkaLogError> {
    writer.begin()?;
    writer.put_layout(layout)?;
    commit(writer)
}

/// Brings a short transaction to its end.
fn commit(writer: &Writer) -> Result<(), KafkaLogError> {
    for _ in 0..COMMIT_TRIES {
        if writer.commit()? == Step::Done {
            return Ok(());
        }
    }
    Err(KafkaLogError::Aborted { reason: "the broker does not answer".to_owned() })
}

fn transactional_id(stream: StreamId, index: u32) -> String {
    format!("millstream-{stream}-{index}")
}

#[cfg(test)]
mod tests {
    use millstream_core::progress::Outcomes;

    use super::*;

    fn kept(files: &[&str]) -> Kept {
        let file = |name: &&str| {
            let progress = FileProgress {
                file: (*name).to_owned(),
                sequence: 0,
                size: 1,
                tag: String::new(),
                found_at_micros: 0,
                phase: FilePhase::Finished,
                rows: Some(1),
                next_row: 1,
                rules_hash: None,
                engine: None,
                outcomes: Outcomes::default(),
                retried_from_row: None,
            };
            ((*name).to_owned(), progress)
        };
        Kept { files: files.iter().map(file).collect(), ..Kept::default() }
    }

    #[test]
    fn every_file_has_one_owner_and_only_files_with_another_one_move() {
        let names: Vec<String> = (0..50).map(|n| format!("data/{n}.parquet")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let publishers = BTreeMap::from([(0, kept(&names))]);
        let moved = moves(&publishers, 3);
        assert!(!moved.is_empty() && moved.len() < names.len());
        for name in &names {
            let to = moved.iter().find(|(_, _, file)| file.file == **name).map_or(0, |(_, to, _)| *to);
            assert_eq!(to, owner(name, 3), "{name}");
        }
        assert!(moves(&publishers, 1).is_empty());

        let mut under_way = kept(&names);
        under_way.files.values_mut().for_each(|file| file.phase = FilePhase::Started);
        let publishers = BTreeMap::from([(1, under_way)]);
        assert!(moves(&publishers, 3).is_empty(), "files under way stay with their publisher");
        assert_eq!(moves(&publishers, 1).len(), names.len(), "unless there is none of its number");
    }
}
