//! Reading apart: a process of this same program reads a file and hands the batches on, under a limit of memory and of time.
//! Whatever the file does to it, only that process ends.
//!
//! The reader gets bytes of the file through its standard input and gives batches through its standard output; it opens nothing
//! by itself. A batch counts once it came whole, and the last only with the word that it was the last.

pub(crate) mod child;
mod frames;
mod work;

use std::io::{Read, Write};
use std::ops::Range;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use millstream_core::record;
use millstream_core::units::{about_size, format_size};
use object_store::ObjectStore;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use self::frames::{BATCH, BYTES, END, FAILED, NO_BYTES, REQUEST, Request, WANT};
use self::work::{Fetches, Work};
use super::SourceError;
use super::read::{Split, fetch};
use crate::chain::chain;

/// Name of the hidden command.
pub(crate) const COMMAND: &str = "read-isolated";

/// Batches that the reader may be ahead.
const AHEAD: usize = 1;

/// What Arrow adds to the values of a batch at most, bytes.
const FRAME_BYTES: u64 = 16 * 1024 * 1024;

/// What is kept of what the reader says before it dies, bytes.
const LAST_WORDS: u64 = 4096;

/// Why there are no more batches.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader ran out of its memory.
    Memory(String),
    /// The file cannot be read; why.
    Reason(String),
    /// The store says so.
    Source(SourceError),
}

/// What the reader sends.
enum Event {
    Batch(RecordBatch),
    End(u64),
    Failed(Failure),
}

/// A process that reads rows of a file.
pub(crate) struct Isolated {
    events: mpsc::Receiver<Event>,
    process: Arc<Mutex<Child>>,
    rows: u64,
    limits: (u64, Duration),
    fetches: Arc<Fetches>,
    _place: OwnedSemaphorePermit,
}

impl Isolated {
    /// Starts a process that reads the rows from `next_row` to the end of the split, once there is a place for it.
    pub(crate) async fn start(
        store: &Arc<dyn ObjectStore>,
        split: &Split,
        columns: &[usize],
        next_row: u64,
        batch_rows: usize,
    ) -> Result<Self, Failure> {
        let guard = &split.file.guard;
        let count = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
        let request = Request {
            size: split.file.found.size,
            row_groups: split.row_groups.clone(),
            columns: columns.to_vec(),
            skip: count(next_row - split.start),
            rows: count(split.rows.end - next_row),
            batch_rows,
            cut_bytes: guard.cut_bytes,
            row_bytes: guard.allowance,
            memory: guard.limits.isolated_memory,
        };
        let cannot = |error: &dyn std::error::Error| {
            Failure::Reason(format!("the process that reads it cannot be started: {}", chain(error)))
        };
        let place = Arc::clone(&guard.places).acquire_owned().await.map_err(|error| cannot(&error))?;
        let mut process = spawn().map_err(|error| cannot(&error))?;
        let (Some(to), Some(from)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::Reason("the process that reads it has no pipes".to_owned()));
        };
        let process = Arc::new(Mutex::new(process));
        let (sender, events) = mpsc::channel(AHEAD);
        let fetches = Arc::<Fetches>::default();
        let serving = Serving {
            store: Arc::clone(store),
            split: split.clone(),
            waits: Handle::current(),
            process: Arc::clone(&process),
            fetches: Arc::clone(&fetches),
            events: sender,
        };
        tokio::task::spawn_blocking(move || serving.serve(&request, to, from));
        let limits = (guard.limits.isolated_memory, guard.limits.isolated_time);
        Ok(Self { events, process, rows: 0, limits, fetches, _place: place })
    }

    /// The next batch; none behind the last. Not cancel safe: a reader that is not heard to its end is ended.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        let (memory, time) = self.limits;
        match Work::new(time).within(&self.fetches, self.events.recv()).await {
            None => {
                end(&self.process);
                Err(Failure::Reason(format!("no batch came within `limits.isolated_time` ({time:?})")))
            }
            Some(Some(Event::Batch(batch))) => {
                self.rows += batch.num_rows() as u64;
                Ok(Some(batch))
            }
            Some(Some(Event::End(rows))) if rows == self.rows => Ok(None),
            Some(Some(Event::Failed(Failure::Memory(what)))) => Err(Failure::Memory(format!(
                "reading it takes more than `limits.isolated_memory` ({}) allows ({what})",
                format_size(memory)
            ))),
            Some(Some(Event::Failed(failure))) => Err(failure),
            Some(Some(Event::End(_)) | None) => {
                Err(Failure::Reason("the process that read it ended before it had told everything".to_owned()))
            }
        }
    }
}

impl Drop for Isolated {
    fn drop(&mut self) {
        end(&self.process);
    }
}

/// The process that serves it waits for its end.
fn end(process: &Mutex<Child>) {
    // One that has ended is ended.
    let _ = process.lock().unwrap_or_else(PoisonError::into_inner).kill();
}

fn spawn() -> std::io::Result<Child> {
    // The program that runs, also when its file was replaced meanwhile.
    let program = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
    Command::new(program)
        .arg(COMMAND)
        // It needs nothing of what is secret. Reserved memory must not count as used.
        .env_clear()
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// The side of the pipes that has the store.
struct Serving {
    store: Arc<dyn ObjectStore>,
    split: Split,
    waits: Handle,
    process: Arc<Mutex<Child>>,
    fetches: Arc<Fetches>,
    events: mpsc::Sender<Event>,
}

impl Serving {
    /// Serves until the reader ends or nobody wants its batches. Blocks.
    fn serve(self, request: &Request, mut to: ChildStdin, mut from: ChildStdout) {
        let mut unreadable = None;
        let told = self.converse(request, &mut to, &mut from, &mut unreadable);
        drop((to, from));
        let last_words = self.bury();
        let failure = match (unreadable, told) {
            (_, Some(Event::End(rows))) => Event::End(rows),
            (Some(failure), _) | (None, Some(Event::Failed(failure))) => Event::Failed(failure),
            (None, Some(Event::Batch(_)) | None) => Event::Failed(last_words),
        };
        // Nobody listens when the file was given up.
        let _ = self.events.blocking_send(failure);
    }

    /// Gives what the reader told last; none if it died without a word, or nobody listens.
    fn converse(
        &self,
        request: &Request,
        to: &mut impl Write,
        from: &mut impl Read,
        unreadable: &mut Option<Failure>,
    ) -> Option<Event> {
        let asked = serde_json::to_vec(request).ok()?;
        frames::write(to, REQUEST, &asked).ok()?;
        let most = request.row_bytes.max(request.cut_bytes).saturating_mul(2).saturating_add(FRAME_BYTES);
        loop {
            let (kind, bytes) = frames::read(from, most).ok()?;
            match kind {
                WANT => match self.range(request, &bytes) {
                    Ok(bytes) => frames::write(to, BYTES, &bytes).ok()?,
                    Err(failure) => {
                        *unreadable = Some(failure);
                        frames::write(to, NO_BYTES, &[]).ok()?;
                    }
                },
                BATCH => {
                    let batch = record::decode(&Bytes::from(bytes)).ok()?;
                    self.events.blocking_send(Event::Batch(batch)).ok()?;
                }
                END => return Some(Event::End(u64::from_le_bytes(bytes.try_into().ok()?))),
                FAILED => return Some(Event::Failed(as_told(&String::from_utf8_lossy(&bytes)))),
                _ => return None,
            }
        }
    }

    /// Bytes that the reader wants.
    fn range(&self, request: &Request, bytes: &[u8]) -> Result<Bytes, Failure> {
        let wanted: Option<Range<u64>> = frames::range(bytes);
        let wanted = wanted.filter(|range| range.start < range.end && range.end <= request.size);
        let range = wanted.ok_or_else(|| Failure::Reason("a part of it is wanted that it does not have".to_owned()))?;
        if range.end - range.start > request.memory {
            return Err(Failure::Memory(format!("a part of it has {}", about_size(range.end - range.start))));
        }
        let _under_way = self.fetches.begin();
        self.waits.block_on(fetch(&self.store, &self.split.file, range)).map_err(Failure::Source)
    }

    /// Ends the reader, if it has not, and says why it did.
    fn bury(&self) -> Failure {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        // Its pipes are closed: whatever it still does is of no use.
        let _ = process.kill();
        let ended = process.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let mut words = Vec::new();
        if let Some(errors) = process.stderr.take() {
            let _ = errors.take(LAST_WORDS).read_to_end(&mut words);
        }
        let words = String::from_utf8_lossy(&words);
        let words = words.lines().find(|line| !line.is_empty()).unwrap_or_default();
        if words.contains("memory allocation of") {
            return Failure::Memory(words.to_owned());
        }
        Failure::Reason(format!("the process that read it ended by {ended} {words}").trim_end().to_owned())
    }
}

/// What the reader tells of a failure: libraries in C report what they cannot allocate.
fn as_told(text: &str) -> Failure {
    let is_memory = ["not enough memory", "out of memory", "Allocation error"].iter().any(|words| text.contains(words));
    if is_memory { Failure::Memory(text.to_owned()) } else { Failure::Reason(text.to_owned()) }
}
