//! What is durable: the log, the archive and what both know, read at a start or for those who only look.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_core::config::Config;
use millstream_core::ids::{Offset, StreamId, Topic, TopicPartition, hash_of_name};
use millstream_core::plan::check::rules_hash;
use millstream_core::progress::Offsets;
use millstream_core::status::{ArchiveVersion, Ledger};
use tracing::{info, warn};

use crate::archive::{self, ArchiveError, ArchiveSettings, ArchiveTable, ArchivedTable, Loaded};
use crate::board;
use crate::chain::chain;
use crate::pipeline::{PipelineError, Shares};
use crate::stream::embedded::{self, EmbeddedLog};
use crate::stream::kafka::{ForeignLog, KafkaLog, KafkaLogError, Tell};
use crate::stream::{Access, Bounds, Log, LogError, PendingRecord, Recovered};
use crate::table::{ArchiveState, Seqs, TableState};

/// Versions of the archive that are told at a start.
const VERSIONS: usize = 20;

/// How long a log that does not answer is asked again at a start.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How often, and how long apart, records that seem to be missing are looked for.
const BOOKS_TRIES: u32 = 10;
const BOOKS_PAUSE: Duration = Duration::from_millis(200);

/// What is durable.
pub(crate) struct Durable {
    /// The log.
    pub(crate) log: Arc<dyn Log>,
    /// Its stream.
    pub(crate) stream: StreamId,
    /// The two tables of the archive.
    pub(crate) tables: [ArchiveTable; 2],
    /// What they hold.
    pub(crate) archive: ArchiveState,
    /// Offsets that the archive holds.
    pub(crate) archived: Offsets,
    /// Seqs that are due behind them.
    pub(crate) seqs: Seqs,
    /// Newest versions of the table of clean rows.
    pub(crate) versions: Vec<ArchiveVersion>,
}

impl Durable {
    /// Opens log and archive.
    pub(crate) async fn open(config: &Config, access: Access, tell: Tell) -> Result<Self, PipelineError> {
        let log = open_log(config, access, tell).await?;
        let state = log.state();
        let OpenArchive { tables, archive, archived, seqs } = open_archive(config, state.stream).await?;
        if access != Access::Look {
            let (rows, rejects) = (archive.rows.as_deref(), archive.rejects.as_deref());
            tables[0].check_same_rules(rows.map(ArchivedTable::held), rejects.map(ArchivedTable::held))?;
            // Whoever committed last may not have lived to force it to disk, and what is archived may leave the log.
            for (table, is_there) in tables.iter().zip([archive.rows.is_some(), archive.rejects.is_some()]) {
                if is_there {
                    table.sync_log().await?;
                }
            }
        }
        // After the archive: what it holds was in the log before.
        let bounds = patiently(|| log.bounds()).await?;
        if access != Access::Look && archive.rows.is_none() && archive.rejects.is_none() {
            check_not_elsewhere(config, &*log, &bounds).await?;
        }
        let ends: Offsets = bounds.iter().map(|bounds| (bounds.at, bounds.end)).collect();
        for table in &tables {
            let of_table: Offsets =
                archived.iter().filter(|(at, _)| at.topic == table.topic).map(|(&at, &offset)| (at, offset)).collect();
            if config.stream.kafka.is_some() {
                check_not_past_end(&config.stream.topic, &of_table, &ends)?;
            } else {
                archive::check_not_ahead(table, &of_table, &ends)?;
            }
        }
        if config.stream.kafka.is_none() {
            // On Kafka offsets have holes: there the next seq tells whether records are missing.
            for bounds in &bounds {
                let asked = archived.get(&bounds.at).copied().unwrap_or_default();
                if asked < bounds.begin {
                    let (at, begin, end) = (bounds.at, bounds.begin, bounds.end);
                    return Err(LogError::OutOfRange { at, asked, begin, end }.into());
                }
            }
        }
        let is_behind = |bounds: &Bounds| archived.get(&bounds.at).copied().unwrap_or_default() < bounds.begin;
        if access.publisher().is_some() && !config.is_foreign() && bounds.iter().any(is_behind) {
            // Records left the log that this archive may not hold. Told now, it disturbs nobody who publishes.
            Box::pin(Self::look(config)).await?;
        }
        let versions = match &archive.rows {
            Some(table) => tables[0].history(&table.table, VERSIONS).await?,
            None => Vec::new(),
        };
        info!(stream = %state.stream, log = state.kind, "opened");
        Ok(Self { log, stream: state.stream, tables, archive, archived, seqs, versions })
    }

    /// Opens for those who only look: nothing is published or received.
    pub(crate) async fn look(config: &Config) -> Result<(Self, Recovered, Vec<PendingRecord>), PipelineError> {
        match Self::look_once(config).await {
            // What the archive held may have left the log while this read: a newer version of the archive tells.
            Err(PipelineError::Refused(_)) if config.stream.kafka.is_some() => Self::look_once(config).await,
            looked => looked,
        }
    }

    async fn look_once(config: &Config) -> Result<(Self, Recovered, Vec<PendingRecord>), PipelineError> {
        let durable = Self::open(config, Access::Look, Arc::new(|_, _| {})).await?;
        let (recovered, pending) = durable.books().await?;
        Ok((durable, recovered, pending))
    }

    /// Takes the publisher's place, for one who only publishes.
    pub(crate) async fn recover(&self) -> Result<Recovered, PipelineError> {
        Ok(patiently(|| self.log.recover()).await?)
    }

    /// Whether the last archived records of a partition of another program's topic were cleaned by the rules of now.
    pub(crate) fn has_rules_of_now(&self, at: TopicPartition) -> bool {
        self.archive.rows.as_ref().is_some_and(|table| self.tables[0].is_by_rules_of_now(&table.foreign, at))
    }

    /// What was published, and which records of it the archive does not hold; both as of one moment.
    pub(crate) async fn books(&self) -> Result<(Recovered, Vec<PendingRecord>), PipelineError> {
        books(&*self.log, &self.archived, &self.seqs).await
    }
}

/// What was published, and which records of it an archive with these offsets and seqs does not hold; both as of one moment.
pub(crate) async fn books(
    log: &dyn Log,
    archived: &Offsets,
    seqs: &Seqs,
) -> Result<(Recovered, Vec<PendingRecord>), PipelineError> {
    let recovered = patiently(|| log.recover()).await?;
    let mut tries = 0;
    let mut pending = loop {
        let pending = patiently(|| log.pending(archived)).await?;
        match check_expired(seqs, &pending, &recovered.next_seqs) {
            Ok(()) => break pending,
            // Where others publish, partitions show a transaction one after the other.
            Err(_) if tries < BOOKS_TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(BOOKS_PAUSE).await;
    };
    // What was published since the progress was read counts the next time.
    pending.retain(|record| {
        recovered.next_seqs.get(&(record.at, record.publisher)).is_some_and(|&next| record.seq < next)
    });
    Ok((recovered, pending))
}

/// The ledger of a pipeline over all of its processes, as log and archive hold it.
pub(crate) async fn ledger_at_rest(config: &Config) -> Result<Ledger, PipelineError> {
    let (durable, recovered, pending) = Durable::look(config).await?;
    if config.is_foreign() {
        return Ok(board::ledger_of_received(&TableState { archive: durable.archive, ..TableState::default() }));
    }
    Ok(board::ledger_at_rest(&recovered, &pending, &durable.archive))
}

async fn open_log(config: &Config, access: Access, tell: Tell) -> Result<Arc<dyn Log>, PipelineError> {
    let Some(kafka) = &config.stream.kafka else {
        let folder = embedded::folder(&config.pipeline.data_dir);
        let handed = Shares::of(config.limits.memory).handed;
        return Ok(Arc::new(EmbeddedLog::open(&folder, config.stream.partitions.get(), handed)?));
    };
    if kafka.foreign {
        return Ok(Arc::new(patiently(|| ForeignLog::open(config, kafka, Arc::clone(&tell))).await?));
    }
    Ok(Arc::new(patiently(|| KafkaLog::open(config, kafka, access, Arc::clone(&tell))).await?))
}

/// Asks again for a while what a log that is just coming up could not answer.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, LogError>
where
    F: Future<Output = Result<T, LogError>>,
{
    let began = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_passing() && began.elapsed() < START_PATIENCE => {
                warn!(error = chain(&error), "the log does not answer yet; trying again");
                tokio::time::sleep(BOOKS_PAUSE).await;
            }
            answered => return answered,
        }
    }
}

/// The archive, opened.
pub(crate) struct OpenArchive {
    /// The two tables.
    pub(crate) tables: [ArchiveTable; 2],
    /// What they hold.
    pub(crate) archive: ArchiveState,
    /// Offsets that they hold.
    pub(crate) archived: Offsets,
    /// Seqs that are due behind them.
    pub(crate) seqs: Seqs,
}

/// Opens the archive of a stream.
pub(crate) async fn open_archive(config: &Config, stream: StreamId) -> Result<OpenArchive, PipelineError> {
    match open_tables(config, stream).await {
        Err(ArchiveError::OtherStream { table, found, .. }) if config.is_foreign() => {
            Err(KafkaLogError::OtherTopic { table, found, topic: config.stream.topic.clone(), id: stream }.into())
        }
        opened => Ok(opened?),
    }
}

async fn open_tables(config: &Config, stream: StreamId) -> Result<OpenArchive, ArchiveError> {
    let settings = ArchiveSettings {
        path: config.archive.path.clone(),
        pipeline: config.pipeline.name.clone(),
        stream,
        partitions: config.partitions(),
        partition_by: config.archive.partition_by,
        event_time: config.source.event_time.clone(),
        is_shared: config.stream.kafka.is_some(),
        // A version of a transaction has 63 bits.
        upkeep: config.archive.upkeep,
        rules: config.is_foreign().then(|| hash_of_name(&rules_hash(&config.clean)) >> 1),
    };
    let tables = [ArchiveTable::new(&settings, Topic::Rows)?, ArchiveTable::new(&settings, Topic::Rejects)?];
    let mut archive = ArchiveState::default();
    let mut archived: Offsets = config.partitions().into_iter().map(|at| (at, Offset::default())).collect();
    let mut seqs = Seqs::new();
    for table in &tables {
        let Some(loaded) = table.load().await? else { continue };
        let Loaded { offsets: held, seqs: due, .. } = &loaded;
        archived.extend(held);
        seqs.extend(due);
        let archived = Some(Arc::new(table.for_queries(loaded).await?));
        match table.topic {
            Topic::Rows => archive.rows = archived,
            Topic::Rejects => archive.rejects = archived,
        }
    }
    Ok(OpenArchive { tables, archive, archived, seqs })
}

/// Refuses an archive that holds nothing, where the group of the receivers knows that another one holds rows of the stream: a group
/// belongs to one archive, for its members share the partitions.
async fn check_not_elsewhere(config: &Config, log: &dyn Log, bounds: &[Bounds]) -> Result<(), PipelineError> {
    let Some(kafka) = &config.stream.kafka else { return Ok(()) };
    if bounds.iter().all(|bounds| bounds.end == Offset::default()) {
        return Ok(());
    }
    let noted = log.noted().await?;
    let Some((at, offset)) = noted.into_iter().find(|(_, offset)| *offset > Offset::default()) else { return Ok(()) };
    Err(PipelineError::Refused(format!(
        "there is no archive in `{}`, and the group `{}` has archived partition {at} of `{}` up to offset {offset} elsewhere: is \
         `archive.path` right? (To fill a second archive from the same topic, name another `stream.kafka.group`, too.)",
        config.archive.path, kafka.group, config.stream.topic
    )))
}

/// Refuses topics that end before what the archive holds of them.
fn check_not_past_end(topic: &str, archived: &Offsets, ends: &Offsets) -> Result<(), KafkaLogError> {
    for (&at, &archived) in archived {
        let end = ends.get(&at).copied().unwrap_or_default();
        if archived > end {
            let topic = if at.topic == Topic::Rows { topic.to_owned() } else { format!("{topic}.rejects") };
            return Err(KafkaLogError::PastEnd { at, topic, archived, end });
        }
    }
    Ok(())
}

/// Refuses a log that lacks records which neither the archive nor the log itself holds.
fn check_expired(seqs: &Seqs, pending: &[PendingRecord], next_seqs: &Seqs) -> Result<(), KafkaLogError> {
    let mut due = seqs.clone();
    for record in pending {
        let due = due.entry((record.at, record.publisher)).or_default();
        if record.seq > *due {
            let PendingRecord { at, publisher, seq, .. } = *record;
            return Err(KafkaLogError::Expired { at, publisher, expected: *due, found: format!("seq {seq}") });
        }
        *due = (*due).max(record.seq + 1);
    }
    for (&(at, publisher), &next) in next_seqs {
        let expected = due.get(&(at, publisher)).copied().unwrap_or_default();
        if expected < next {
            return Err(KafkaLogError::Expired { at, publisher, expected, found: "nothing".to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: TopicPartition = TopicPartition { topic: Topic::Rows, partition: 0 };

    fn record(seq: u64) -> PendingRecord {
        PendingRecord { at: AT, publisher: 0, seq, file: String::new(), rows: 1, resolves: false }
    }

    #[test]
    fn records_that_are_gone_are_told_and_repeats_are_not() {
        let seqs = |next| Seqs::from([((AT, 0), next)]);
        assert!(check_expired(&seqs(5), &[record(3), record(5), record(6)], &seqs(7)).is_ok());
        assert!(check_expired(&seqs(5), &[record(6)], &seqs(7)).is_err());
        assert!(check_expired(&seqs(5), &[], &seqs(5)).is_ok());
        assert!(check_expired(&seqs(5), &[], &seqs(6)).is_err());
        assert!(check_expired(&Seqs::new(), &[record(0)], &seqs(1)).is_ok());
    }
}
