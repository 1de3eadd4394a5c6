//! Redrive: rejected rows are cleaned again, from their files and by the rules of the pipeline file as it stands now, and those that
//! pass are published, once.
//!
//! What was rejected and is not resolved is read from the archive, once that holds all that the publisher has published. The rows go to the
//! publisher, who puts them, a word on each and the progress of their file into one append. Whatever ends a redrive midway, the next one
//! finds what is left. One runs at a time.

mod again;
pub(crate) mod asks;
mod now;
mod preview;
mod unresolved;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::config::Config;
use millstream_core::config::clean::DedupWithin;
use millstream_core::redrive::{Answer, Counts, FileAnswer, Preview, PreviewRequest, Request};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tracing::info;

use self::again::{Again, Piece};
use self::asks::{Asks, Redriven, Standing};
use self::unresolved::{Chunk, Unresolved, Which};
use crate::archive::{ArchiveError, ArchiveTable, ArchivedTable};
use crate::board::Board;
use crate::source::list::Listing;
use crate::view::{Queries, QueryError};

/// How long the archive may take until it holds what was published.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Why a redrive did not come to its end. What it had published is published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedriveError {
    /// The user can put it right.
    #[error("{0}")]
    Refused(String),
    /// There is one.
    #[error("a redrive is under way: ask again when it has ended")]
    Busy,
    /// The publisher takes nothing more.
    #[error("the pipeline is about to end: ask again once it has ended")]
    Ending,
    /// The publisher begins anew.
    #[error("an append was lost, and publishing begins anew: ask again, it goes on with what is left")]
    Lost,
    /// The archive stays behind.
    #[error(
        "the archive does not hold the newest rejects, though {PATIENCE:?} went by: does it get on (`millstream status`), does \
         `millstream receive` run? Ask again then"
    )]
    ArchiveWaits,
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Rejects cannot be read from it.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Cleans rejects again; one for each process that publishes.
#[derive(Debug)]
pub(crate) struct Redriver {
    /// The pipeline file that runs.
    pub(crate) config: Arc<Config>,
    /// Where files are.
    pub(crate) listing: Arc<Listing>,
    /// Reads rejects, and lends its threads.
    pub(crate) queries: Queries,
    /// What is known of files.
    pub(crate) board: Arc<Board>,
    /// The way to the publisher.
    pub(crate) asks: Arc<Asks>,
    /// The archive's table of rejects.
    pub(crate) rejects: ArchiveTable,
    /// Has the archiver commit at once, if it is in this process.
    pub(crate) hurry: watch::Sender<u64>,
    /// One at a time.
    pub(crate) one: Semaphore,
}

impl Redriver {
    /// Redrives. It ends when nobody waits for it any more.
    ///
    /// # Errors
    /// Why not all of it was done; asked again, it goes on with what is left.
    pub(crate) async fn redrive(self: &Arc<Self>, request: Request) -> Result<Answer, RedriveError> {
        let this = Arc::clone(self);
        self.queries.lend(async move { this.redrive_now(request).await }).await
    }

    /// Tells what a redrive would do, of the first rows only.
    ///
    /// # Errors
    /// A mistake in the rules, or it takes too long.
    pub(crate) async fn preview(self: &Arc<Self>, request: PreviewRequest) -> Result<Preview, RedriveError> {
        let this = Arc::clone(self);
        let work = Box::pin(async move { this.preview_now(request).await });
        self.queries.lend_bounded("a preview of redrive", work).await
    }

    async fn redrive_now(&self, request: Request) -> Result<Answer, RedriveError> {
        let _only = self.one.try_acquire().map_err(|_| RedriveError::Busy)?;
        now::check_file(&self.config, request.pipeline.as_deref())?;
        let config = now::rules(&self.config, None)?;
        check_dedup(&config)?;
        let standing = self.asks.standing().await?;
        let mut files = self.files(request.files.as_deref());
        if let Some(table) = self.archived(&standing).await? {
            let which = Which { files: request.files, rules: request.rules };
            let mut unresolved = Unresolved::of_archive(&self.queries, table, which).await?;
            let mut again = Again::new(config, &self.listing, &self.board, standing.known);
            while let Some(chunk) = unresolved.next().await? {
                let answer = files.entry(chunk.file.clone()).or_insert_with(|| of_file(&chunk.file));
                self.redrive_chunk(&mut again, &chunk, answer).await?;
            }
        }
        let answer = total(files);
        let Counts { rows, delivered, duplicates, filtered, rejected } = answer.counts;
        info!(rows, delivered, duplicates, filtered, rejected, "redriven");
        if rows > rejected {
            self.board.message_info(format!("redrive: {delivered} of {rows} rejected rows are delivered"));
        }
        Ok(answer)
    }

    /// Cleans rows of one file, and has those that pass published.
    async fn redrive_chunk(
        &self,
        again: &mut Again<'_>,
        chunk: &Chunk,
        answer: &mut FileAnswer,
    ) -> Result<(), RedriveError> {
        let rows = chunk.rows.len() as u64;
        answer.counts.rows += rows;
        answer.counts.rejected += rows;
        if answer.refused.is_some() {
            return Ok(());
        }
        let mut pieces = match again.begin(chunk).await {
            Ok(pieces) => pieces,
            Err(reason) => {
                answer.refused = Some(reason);
                return Ok(());
            }
        };
        loop {
            let piece = match pieces.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(()),
                Err(reason) => {
                    answer.refused = Some(reason);
                    return Ok(());
                }
            };
            if let Some(redriven) = redriven(piece, chunk, pieces.rules_hash()) {
                let filtered = redriven.filtered.len() as u64;
                match self.asks.publish(redriven).await? {
                    Ok(published) => {
                        let counts = &mut answer.counts;
                        counts.delivered += published.delivered;
                        counts.duplicates += published.duplicates;
                        counts.filtered += filtered;
                        counts.rejected -= published.delivered + published.duplicates + filtered;
                    }
                    Err(reason) => {
                        answer.refused = Some(reason);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The archive's table of rejects, once it holds all that stands there; none when there never was a reject.
    async fn archived(&self, standing: &Standing) -> Result<Option<Arc<ArchivedTable>>, RedriveError> {
        let began = Instant::now();
        let is_due = |key: &_, seq: &u64, seqs: &crate::table::Seqs| seqs.get(key).is_none_or(|held| held < seq);
        let wanted: Vec<_> =
            standing.seqs.iter().filter(|((at, _), seq)| at.topic == self.rejects.topic && **seq > 0).collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        loop {
            if let Some(loaded) = self.rejects.load().await?
                && !wanted.iter().any(|(key, seq)| is_due(key, seq, &loaded.seqs))
            {
                return Ok(Some(Arc::new(self.rejects.for_queries(loaded).await?)));
            }
            if began.elapsed() >= PATIENCE {
                return Err(RedriveError::ArchiveWaits);
            }
            self.hurry.send_modify(|count| *count += 1);
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// The files that were asked for: also of those without rejects something is answered.
    fn files(&self, names: Option<&[String]>) -> BTreeMap<String, FileAnswer> {
        let answer = |name: &String| {
            let mut answer = of_file(name);
            if self.board.file(name).is_none() {
                answer.refused =
                    Some(format!("`{name}` is no file that the pipeline knows: `millstream status` names them"));
            }
            (name.clone(), answer)
        };
        names.unwrap_or_default().iter().map(answer).collect()
    }
}

fn of_file(name: &str) -> FileAnswer {
    FileAnswer { file: name.to_owned(), ..FileAnswer::default() }
}

fn total(files: BTreeMap<String, FileAnswer>) -> Answer {
    let mut answer = Answer { counts: Counts::default(), files: files.into_values().collect() };
    for file in &answer.files {
        answer.counts.add(file.counts);
    }
    answer
}

/// What is to be published of a piece; none when all of it stays rejected.
fn redriven(piece: Piece, chunk: &Chunk, rules_hash: &str) -> Option<Redriven> {
    let Piece { cleaned, passed, filtered, .. } = piece;
    if passed.is_empty() && filtered.is_empty() {
        return None;
    }
    let rules =
        passed.iter().chain(&filtered).filter_map(|row| Some((*row, Arc::clone(chunk.rows.get(row)?)))).collect();
    let (file, rules_hash) = (chunk.file.clone(), rules_hash.to_owned());
    Some(Redriven { file, clean: cleaned.clean, filtered, rules, rules_hash })
}

/// Keys within one file are known for as long as it is read, no longer.
fn check_dedup(config: &Config) -> Result<(), RedriveError> {
    if config.clean.dedup.as_ref().is_some_and(|dedup| dedup.within == DedupWithin::File) {
        let text = "with `clean.dedup.within = \"file\"` nobody knows the keys of a file any more once it is read, so its rejects cannot be told \
                    from repeats: they stay as they are";
        return Err(RedriveError::Refused(text.to_owned()));
    }
    Ok(())
}
