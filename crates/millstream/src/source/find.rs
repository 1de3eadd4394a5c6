//! Finding: lists the source again and again, and has each new file accepted once it is whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::progress::{FilePhase, FileProgress};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{info, warn};

use super::list::{Listed, Listing};
use super::retry::{self, Retries, Retry, Terms};
use super::untrusted::Guard;
use super::{FoundFile, SourceError, read};
use crate::board::Board;
use crate::chain::chain;
use crate::clock::now_micros;
use crate::stop::{Phase, StopToken};
use crate::stream::PublisherId;
use crate::stream::kafka::progress::owner;

/// How often the source is listed while files come one after the other.
const BUSY_LIST_INTERVAL: Duration = Duration::from_millis(25);

/// How long after a new file the next is expected soon.
const BUSY: Duration = Duration::from_secs(5);

/// A busy finder rests for this many times of what a listing takes.
const LIST_REST: u32 = 10;

/// Problems of listing that are told at most, each once.
const TOLD: usize = 100;

/// Files that are looked at before they are accepted together: the first rows need not wait for the last footer.
const FILES_AT_ONCE: usize = 64;

/// Asks the publisher to give files their numbers, durably. It answers with their progress.
#[derive(Debug)]
pub(crate) struct Accept {
    /// Files in the order of their numbers to be.
    pub(crate) files: Vec<NewFile>,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<Vec<FileProgress>>,
}

/// A file to be accepted.
#[derive(Debug)]
pub(crate) struct NewFile {
    /// The file.
    pub(crate) found: FoundFile,
    /// When it was found.
    pub(crate) found_at_micros: i64,
    /// Rows by its footer, or why it is quarantined at once.
    pub(crate) rows: Result<u64, String>,
    /// What was known of it, if it was quarantined and is taken again; then `rows` are known.
    pub(crate) before: Option<Box<FileProgress>>,
}

/// A file that has its number.
#[derive(Debug)]
pub(crate) struct AcceptedFile {
    /// The file as it is now.
    pub(crate) found: FoundFile,
    /// Its progress.
    pub(crate) progress: FileProgress,
}

/// The finder.
#[derive(Debug)]
pub(crate) struct Finder {
    /// What to list.
    pub(crate) listing: Arc<Listing>,
    /// What files are held to.
    pub(crate) guard: Arc<Guard>,
    /// Whether to go on when all files are known.
    pub(crate) watch: bool,
    /// How often to list while files are awaited.
    pub(crate) list_interval: Duration,
    /// How long a file without a valid footer gets.
    pub(crate) settle: Duration,
    /// Files that the log knows.
    pub(crate) known: Vec<FileProgress>,
    /// Whose files are looked for: each file belongs to one publisher.
    pub(crate) publisher: PublisherId,
    /// Files that other publishers have, although they would be ours by name.
    pub(crate) others: HashSet<String>,
    /// Files that are to be taken again.
    pub(crate) retries: Arc<Retries>,
    /// What decides whether they can be.
    pub(crate) terms: Terms,
    /// Where messages go.
    pub(crate) board: Arc<Board>,
}

/// What is remembered of a known file.
struct Known {
    size: u64,
    tag: String,
    told: bool,
}

/// What a look at a new file says.
enum Look {
    /// It is all there: its rows, or why they cannot be read.
    Whole(Result<u64, String>),
    /// It may still become whole; why it is not.
    NotYet(String),
}

/// A file that is not whole yet.
struct Growing {
    size: u64,
    tag: String,
    since: Instant,
}

impl Finder {
    /// Lists until the source is at its end or `stop` says so. Files go to `files` in the order of their numbers.
    pub(crate) async fn run(
        self,
        accept: mpsc::Sender<Accept>,
        files: mpsc::Sender<AcceptedFile>,
        stop: StopToken,
    ) -> Result<(), SourceError> {
        let retries = Arc::clone(&self.retries);
        let ended = self.find(accept, files, stop).await;
        // After a lost append the next life takes files again.
        if ended.is_ok() {
            retries.close().await;
        }
        ended
    }

    async fn find(
        self,
        accept: mpsc::Sender<Accept>,
        files: mpsc::Sender<AcceptedFile>,
        mut stop: StopToken,
    ) -> Result<(), SourceError> {
        let mut known: HashMap<Arc<str>, Known> = self.known.iter().map(remember).collect();
        let mut growing: HashMap<Arc<str>, Growing> = HashMap::new();
        let mut told = HashSet::new();
        let mut retaken = HashMap::new();
        let mut listed = self.list(&mut told).await?;
        if listed.is_empty() && known.is_empty() && self.publisher.count == 1 {
            if !self.watch {
                return Err(SourceError::Nothing { patterns: self.listing.patterns() });
            }
            self.board.message_info(format!("nothing matches {} yet: waiting for files", self.listing.patterns()));
        }
        self.resume(&listed, &files).await?;
        let mut listing_took = Duration::ZERO;
        let mut found_at: Option<Instant> = None;
        loop {
            let known_before = known.len();
            for some in listed.chunks(FILES_AT_ONCE) {
                let ready = self.ready(some, &mut known, &mut growing).await?;
                self.accept(ready, &mut known, &accept, &files).await?;
            }
            if known.len() > known_before {
                found_at = Some(Instant::now());
            }
            growing.retain(|file, _| listed.iter().any(|found| found.file == *file));
            self.board.source_waits(self.watch && growing.is_empty());
            if !self.watch && growing.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = stop.reached(Phase::Drain) => return Ok(()),
                () = tokio::time::sleep(self.pause(found_at, listing_took)) => {}
                retry = self.retries.next() => self.retry(retry, (&mut known, &mut retaken), &accept, &files).await?,
            }
            let began = Instant::now();
            listed = self.list(&mut told).await?;
            listing_took = began.elapsed();
        }
    }

    /// Hands on the files that an earlier run accepted and did not finish.
    async fn resume(&self, listed: &[FoundFile], files: &mpsc::Sender<AcceptedFile>) -> Result<(), SourceError> {
        let now: HashMap<&str, &FoundFile> = listed.iter().map(|found| (&*found.file, found)).collect();
        for progress in self.known.iter().filter(|progress| !progress.is_over()) {
            // A file that is gone or changed is told so by its reader, which looks for the state that is wanted here.
            let found = now.get(progress.file.as_str()).map(|&found| found.clone());
            let found = match found {
                Some(found) if progress.phase == FilePhase::Accepted => found,
                Some(found) => FoundFile { size: progress.size, tag: progress.tag.clone(), ..found },
                None => self.gone(progress),
            };
            files.send(AcceptedFile { found, progress: progress.clone() }).await.map_err(|_| SourceError::Closed)?;
        }
        Ok(())
    }

    fn gone(&self, progress: &FileProgress) -> FoundFile {
        FoundFile {
            file: progress.file.as_str().into(),
            location: self.listing.location(&progress.file),
            size: progress.size,
            tag: progress.tag.clone(),
        }
    }

    /// The new files that are whole, or that had their time to become so.
    async fn ready(
        &self,
        listed: &[FoundFile],
        known: &mut HashMap<Arc<str>, Known>,
        growing: &mut HashMap<Arc<str>, Growing>,
    ) -> Result<Vec<NewFile>, SourceError> {
        let mut ready = Vec::new();
        for found in listed {
            if let Some(known) = known.get_mut(&found.file) {
                self.tell_change(found, known);
                continue;
            }
            let new = |rows| NewFile { found: found.clone(), found_at_micros: now_micros(), rows, before: None };
            let reason = match self.look(found).await? {
                Look::Whole(rows) => {
                    growing.remove(&found.file);
                    ready.push(new(rows));
                    continue;
                }
                Look::NotYet(reason) => reason,
            };
            let now = Instant::now();
            let seen = growing.entry(Arc::clone(&found.file)).or_insert_with(|| Growing {
                size: found.size,
                tag: found.tag.clone(),
                since: now,
            });
            if seen.size != found.size || seen.tag != found.tag {
                *seen = Growing { size: found.size, tag: found.tag.clone(), since: now };
            } else if now.duration_since(seen.since) >= self.settle {
                growing.remove(&found.file);
                ready.push(new(Err(format!("{reason}, and that did not change for {:?}", self.settle))));
            }
        }
        Ok(ready)
    }

    /// Time between two listings: short while files come, but never so short that listing is all that is done. A bucket, where
    /// each listing costs money, is listed at the one pace.
    fn pause(&self, found_at: Option<Instant>, listing_took: Duration) -> Duration {
        let rest = listing_took * LIST_REST;
        let is_busy = !self.listing.is_of_bucket() && found_at.is_some_and(|at| at.elapsed() < BUSY);
        if is_busy { rest.max(BUSY_LIST_INTERVAL).min(self.list_interval) } else { rest.max(self.list_interval) }
    }

    /// Whether a file can be accepted as it is.
    async fn look(&self, found: &FoundFile) -> Result<Look, SourceError> {
        match read::is_complete(&*self.listing.store(), found).await {
            Ok(true) => {}
            Ok(false) => return Ok(Look::NotYet("it has no valid Parquet footer".to_owned())),
            // Not the file's fault.
            Err(error @ SourceError::Stop { .. }) => return Err(error),
            Err(error) => return Ok(Look::NotYet(error.reason())),
        }
        match read::open(self.listing.store(), found.clone(), &self.guard).await {
            Ok(open) => Ok(Look::Whole(Ok(open.rows()))),
            // It was written on since it was listed: the next listing knows more.
            Err(error @ SourceError::Changed { .. }) => Ok(Look::NotYet(error.reason())),
            Err(error @ SourceError::Stop { .. }) => Err(error),
            Err(error) => Ok(Look::Whole(Err(error.reason()))),
        }
    }

    /// Takes quarantined files again, those that can be, and answers.
    async fn retry(
        &self,
        retry: Retry,
        (known, retaken): (&mut HashMap<Arc<str>, Known>, &mut HashMap<String, u64>),
        accept: &mpsc::Sender<Accept>,
        files: &mpsc::Sender<AcceptedFile>,
    ) -> Result<(), SourceError> {
        let Retry { files: names, keep_published, reply } = retry;
        let (mut answers, mut ready) = (Vec::new(), Vec::new());
        for name in names {
            let taken = match self.board.file(&name) {
                // The board hears of an append a moment after those who wait for it.
                Some(before) if retaken.get(&name) == Some(&before.sequence) => Err("it was just taken".to_owned()),
                Some(_) if !known.contains_key(name.as_str()) => Err("another publisher has it: ask there".to_owned()),
                Some(before) => self.terms.take(&self.listing, &self.guard, before, keep_published).await,
                None => Err(retry::unknown(&name)),
            };
            if let Ok(NewFile { before: Some(before), .. }) = &taken {
                retaken.insert(name.clone(), before.sequence);
            }
            answers.push(retry::answer(name, &taken));
            ready.extend(taken);
        }
        self.accept(ready, known, accept, files).await?;
        // Who asked may have given up waiting.
        let _ = reply.send(answers);
        Ok(())
    }

    /// Lists. What cannot be looked at is told once, and looked at again by the next listing; only a bucket that is not watched
    /// has no next one.
    async fn list(&self, told: &mut HashSet<String>) -> Result<Vec<FoundFile>, SourceError> {
        let Listed { files, problems } = match self.listing.list().await {
            Ok(listed) => listed,
            Err(error) if !self.watch && self.listing.is_of_bucket() => return Err(error),
            Err(error) => Listed { files: Vec::new(), problems: vec![chain(&error)] },
        };
        let PublisherId { index, count } = self.publisher;
        let is_ours = |found: &FoundFile| owner(&found.file, count) == index && !self.others.contains(&*found.file);
        let files = files.into_iter().filter(|found| count == 1 || is_ours(found)).collect();
        for problem in problems {
            if told.len() < TOLD && told.insert(problem.clone()) {
                warn!(%problem, "part of the source cannot be listed");
                self.board.message_warn(format!("{problem}; the rest goes on, and this is tried again"));
            }
        }
        Ok(files)
    }

    fn tell_change(&self, found: &FoundFile, known: &mut Known) {
        let changed = known.size != found.size || known.tag != found.tag;
        if changed && !known.told && self.board.is_finished(&found.file) {
            known.told = true;
            let file = &found.file;
            warn!(%file, "file changed after it was read");
            self.board.message_warn(format!(
                "`{file}` changed after it was read; its rows stay as they were. To have the new content read, give it a new name"
            ));
        }
    }

    async fn accept(
        &self,
        ready: Vec<NewFile>,
        known: &mut HashMap<Arc<str>, Known>,
        accept: &mpsc::Sender<Accept>,
        files: &mpsc::Sender<AcceptedFile>,
    ) -> Result<(), SourceError> {
        if ready.is_empty() {
            return Ok(());
        }
        let found: Vec<FoundFile> = ready.iter().map(|new| new.found.clone()).collect();
        let (reply, answer) = oneshot::channel();
        accept.send(Accept { files: ready, reply }).await.map_err(|_| SourceError::Closed)?;
        let accepted = answer.await.map_err(|_| SourceError::Closed)?;
        info!(files = accepted.len(), "files accepted");
        for (found, progress) in found.into_iter().zip(accepted) {
            let (file, entry) = remember(&progress);
            known.insert(file, entry);
            if !progress.is_over() {
                files.send(AcceptedFile { found, progress }).await.map_err(|_| SourceError::Closed)?;
            }
        }
        Ok(())
    }
}

fn remember(progress: &FileProgress) -> (Arc<str>, Known) {
    let known = Known { size: progress.size, tag: progress.tag.clone(), told: false };
    (progress.file.as_str().into(), known)
}
