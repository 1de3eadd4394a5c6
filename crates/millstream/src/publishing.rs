//! The publishing side: finds, plans, cleans and publishes. When the log loses an append it begins anew from what is durable;
//! nothing that memory believed is kept.

pub(crate) mod rules;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_core::config::Config;
use millstream_core::dedup::{Deduplicator, KeptKeys};
use millstream_core::ids::StreamId;
use millstream_core::plan::KnownSchema;
use millstream_core::record::Encoder;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use self::rules::Rules;
use crate::board::Board;
use crate::chain::chain;
use crate::clean::Cleaner;
use crate::clock::pause;
use crate::dedup::deduplicator;
use crate::disk;
use crate::failpoint;
use crate::pipeline::{PipelineError, Until};
use crate::redrive::asks::Asks;
use crate::source::find::Finder;
use crate::source::list::Listing;
use crate::source::plan::Planner;
use crate::source::retry::{Retries, Terms};
use crate::source::untrusted::Guard;
use crate::stop::{Phase, StopToken};
use crate::stream::kafka::MAX_PUBLISHERS;
use crate::stream::publish::{PublishError, Publisher};
use crate::stream::{Log, LogError, PublisherId, Recovered};
use crate::supervise::{TaskError, Tasks};

/// Accepted files that the finder may be ahead of the planner.
const FILES_AHEAD: usize = 256;

/// Pieces of work that the planner may be ahead of the publisher.
const WORK_AHEAD: usize = 32;

/// Pieces of what dedup kept that the log may be ahead of dedup.
const KEPT_AHEAD: usize = 32;

/// Between two words of how far dedup is with what it kept.
const TELL_INTERVAL: Duration = Duration::from_secs(5);

/// Shortest and longest pause before the publisher begins anew.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The publishing side.
pub(crate) struct Publishing {
    /// The pipeline file.
    pub(crate) config: Arc<Config>,
    /// Where files are.
    pub(crate) listing: Arc<Listing>,
    /// The engine.
    pub(crate) cleaner: Arc<dyn Cleaner>,
    /// The log.
    pub(crate) log: Arc<dyn Log>,
    /// Stream that is written.
    pub(crate) stream: StreamId,
    /// Which of its publishers this is.
    pub(crate) id: PublisherId,
    /// Where numbers go.
    pub(crate) board: Arc<Board>,
    /// When the source is at its end.
    pub(crate) until: Until,
    /// What dedup may take, bytes.
    pub(crate) dedup_bytes: u64,
    /// Files that are to be taken again.
    pub(crate) retries: Arc<Retries>,
    /// What is asked for rejects.
    pub(crate) asks: Arc<Asks>,
    /// Memory of rows that go to the receiver with one append; 0 where the log hands nothing on.
    pub(crate) handed_bytes: u64,
}

impl Publishing {
    /// Publishes until the source is at its end or `stop` says so, beginning with what `recovered` tells. Tells `published` when
    /// nothing more will be appended.
    pub(crate) async fn run(
        self,
        recovered: Recovered,
        published: watch::Sender<bool>,
        stop: StopToken,
        tasks: Tasks,
    ) -> Result<(), TaskError> {
        let ended = self.lives(recovered, published, stop, tasks).await;
        self.asks.close().await;
        self.cleaner.close().await;
        ended
    }

    async fn lives(
        &self,
        mut recovered: Recovered,
        published: watch::Sender<bool>,
        mut stop: StopToken,
        tasks: Tasks,
    ) -> Result<(), TaskError> {
        let mut losses = 0;
        loop {
            let before = self.board.appends();
            let lost = match self.once(recovered, &published, &stop, &tasks).await {
                Err(TaskError::Publish(error)) if is_passing(&error) => error,
                ended => return ended,
            };
            losses = if self.board.appends() > before { 1 } else { losses + 1 };
            warn!(error = chain(&lost), losses, "publishing begins anew from what is durable");
            let full = disk::full_of(&lost);
            if let Some(full) = full {
                self.board.publishing_waits(&full.to_string());
            }
            let again = tokio::select! {
                () = stop.reached(Phase::Drain) => {
                    published.send_replace(true);
                    return Ok(());
                }
                again = self.recover(losses, full.is_some()) => again?,
            };
            if let PublishError::Append(interrupted) = &lost
                && let Some(applied) = interrupted.landed(&again)
            {
                info!("the append had landed");
                self.board.applied(applied);
            }
            recovered = again;
        }
    }

    /// Takes its place on the log again, as often as it needs; behind a full disk, once there is room.
    async fn recover(&self, losses: u32, was_full: bool) -> Result<Recovered, LogError> {
        let mut tries = losses;
        loop {
            tokio::time::sleep(pause(PAUSES, tries)).await;
            if was_full && disk::check(&self.config.pipeline.data_dir, disk::LOG_RESERVE_BYTES).is_err() {
                continue;
            }
            match self.log.recover().await {
                Err(error) if error.is_passing() => {
                    warn!(error = chain(&error), "the log cannot be read yet; trying again");
                }
                ended => return ended,
            }
            tries += 1;
        }
    }

    /// One life of finder, planner and publisher.
    async fn once(
        &self,
        recovered: Recovered,
        published: &watch::Sender<bool>,
        stop: &StopToken,
        tasks: &Tasks,
    ) -> Result<(), TaskError> {
        let guard = Guard::of(&self.config);
        let rules = Arc::new(Rules::of(&self.config, &recovered).map_err(TaskError::Start)?);
        let planner = self.planner(&recovered, Arc::clone(&rules), Arc::clone(&guard)).map_err(TaskError::Start)?;
        let mut told_to_stop = stop.clone();
        let dedup = tokio::select! {
            () = told_to_stop.reached(Phase::Drain) => {
                published.send_replace(true);
                return Ok(());
            }
            dedup = self.dedup(recovered.publisher.dedup_high_micros) => dedup?,
        };
        let (requests, accepting) = mpsc::channel(1);
        let (files, accepted) = mpsc::channel(FILES_AHEAD);
        let (work, working) = mpsc::channel(WORK_AHEAD);
        let only_asked = self.until == Until::Asked;
        let finder = Finder {
            listing: Arc::clone(&self.listing),
            guard: Arc::clone(&guard),
            watch: self.config.source.watch && self.until == Until::Stopped,
            list_interval: self.config.source.list_interval,
            settle: self.config.source.settle,
            known: recovered.files.clone(),
            publisher: self.id,
            others: recovered.others.clone(),
            retries: Arc::clone(&self.retries),
            terms: Terms::of(&self.config),
            board: Arc::clone(&self.board),
        };
        let writes = Publisher {
            config: Arc::clone(&self.config),
            rules,
            log: Arc::clone(&self.log),
            stream: self.stream,
            id: self.id,
            // On Kafka each publisher has numbers of its own.
            sequence_step: self.config.stream.kafka.as_ref().map_or(1, |_| u64::from(MAX_PUBLISHERS)),
            board: Arc::clone(&self.board),
            files: recovered.files.into_iter().map(|file| (file.sequence, file)).collect::<BTreeMap<_, _>>(),
            seqs_before: recovered.next_seqs,
            asks: Arc::clone(&self.asks),
            stays: only_asked,
            progress: recovered.publisher,
            dedup,
            schemas: HashSet::new(),
            encoder: Encoder::default(),
            handed_bytes: self.handed_bytes,
        };
        let to_end = stop.clone();
        let mut find = tasks
            .child("find", async move { if only_asked { Ok(()) } else { finder.run(requests, files, to_end).await } });
        let mut plans = tasks.child("plan", planner.run(accepted, work, stop.clone(), tasks.clone()));
        let publishing = writes.run(accepting, working, published, stop.clone());
        tokio::pin!(publishing);
        loop {
            tokio::select! {
                ended = &mut publishing => {
                    ended?;
                    break;
                }
                ended = find.ended(), if !find.is_over() => told(ended)?,
                ended = plans.ended(), if !plans.is_over() => told(ended)?,
            }
        }
        for child in [&mut find, &mut plans] {
            if !child.is_over() {
                told(child.ended().await)?;
            }
        }
        Ok(())
    }

    /// Dedup as it is on the log, which is asked as often as it needs; none where it is not wanted. Cancel safe.
    async fn dedup(&self, high_micros: Option<i64>) -> Result<Option<Deduplicator>, TaskError> {
        let Some(spec) = &self.config.clean.dedup else { return Ok(None) };
        let event_time = self.config.source.event_time.as_deref();
        let mut tries = 0;
        loop {
            let mut dedup = deduplicator(spec, event_time, self.dedup_bytes, &self.config.pipeline.data_dir);
            dedup.restore_high(high_micros);
            let (to, kept) = mpsc::channel(KEPT_AHEAD);
            match tokio::join!(self.log.kept_keys(to), self.restored(dedup, kept)) {
                (Err(error), _) if error.is_passing() => {
                    warn!(error = chain(&error), "the log cannot be read yet; trying again");
                }
                (read, restored) => {
                    read?;
                    return Ok(Some(restored?));
                }
            }
            tries += 1;
            tokio::time::sleep(pause(PAUSES, tries)).await;
        }
    }

    /// Takes in what dedup kept, piece by piece.
    async fn restored(
        &self,
        mut dedup: Deduplicator,
        mut kept: mpsc::Receiver<KeptKeys>,
    ) -> Result<Deduplicator, PublishError> {
        let mut told = Instant::now();
        let mut is_long = false;
        while let Some(piece) = kept.recv().await {
            dedup.restore(&piece).map_err(PublishError::Restore)?;
            if told.elapsed() >= TELL_INTERVAL {
                (told, is_long) = (Instant::now(), true);
                info!(keys = dedup.keys(), "dedup takes in its keys from the log");
                self.board.dedup_restored(dedup.keys());
            }
        }
        if is_long {
            info!(keys = dedup.keys(), "dedup has taken in its keys");
        }
        self.board.dedup_restored(dedup.keys());
        failpoint::hit("dedup.restored");
        Ok(dedup)
    }

    fn planner(&self, recovered: &Recovered, rules: Arc<Rules>, guard: Arc<Guard>) -> Result<Planner, PipelineError> {
        Ok(Planner {
            config: Arc::clone(&self.config),
            rules,
            known: known_schema(recovered)?,
            cleaner: Arc::clone(&self.cleaner),
            store: self.listing.store(),
            not_by_spark: HashSet::new(),
            guard,
        })
    }
}

/// Whether publishing goes on by itself, from what is durable.
fn is_passing(error: &PublishError) -> bool {
    match error {
        PublishError::Append(interrupted) => interrupted.source.is_passing(),
        PublishError::Dedup { source, .. } | PublishError::Restore(source) => disk::is_full(source),
        PublishError::Clean { .. } | PublishError::Record { .. } | PublishError::Arrange { .. } => false,
    }
}

/// That the publisher is gone is told by the publisher.
fn told(ended: Result<(), TaskError>) -> Result<(), TaskError> {
    ended.or_else(|error| if error.is_consequence() { Ok(()) } else { Err(error) })
}

fn known_schema(recovered: &Recovered) -> Result<KnownSchema, PipelineError> {
    let Some(value) = &recovered.publisher.known_schema else { return Ok(KnownSchema::default()) };
    serde_json::from_value(value.clone())
        .map_err(|error| PipelineError::Failed(format!("the columns kept in the log cannot be understood: {error}")))
}
