//! Makes each change ready once for all streams: the newest text of each kind, in a channel of one place.
//!
//! A client that reads slowly misses texts in between and holds nothing. Without clients nothing is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::rows::{heads, rows};
use super::{App, Stopping, stop_told};
use crate::clock::now_micros;
use crate::pipeline::Running;
use crate::view::QueryResult;

/// Shortest time between two events of a kind.
const TICK: Duration = Duration::from_millis(250);
/// Shortest time between two ledgers: they are long where files are many.
const LEDGER_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time between two status events.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// Rows of a `rows` event.
const NEWEST_ROWS: usize = 30;

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole status.
    Status,
    /// The whole ledger.
    Ledger,
    /// The newest rows.
    Rows,
    /// A commit landed.
    Archive,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Status, Self::Ledger, Self::Rows, Self::Archive];

    /// Name of the event.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Ledger => "ledger",
            Self::Rows => "rows",
            Self::Archive => "archive",
        }
    }
}

/// One event, shared by all clients.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Grows with every event.
    pub(super) id: u64,
    /// JSON.
    pub(super) data: Arc<str>,
}

/// One place for each kind of event; none before the first client came.
pub(super) struct Feed {
    places: [watch::Sender<Option<Item>>; Kind::ALL.len()],
    next_id: AtomicU64,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { places: std::array::from_fn(|_| watch::Sender::new(None)), next_id: AtomicU64::new(1) }
    }

    /// How many clients listen.
    pub(super) fn listeners(&self) -> usize {
        self.places[Kind::Status as usize].receiver_count()
    }

    /// A place for a client, in the order of [`Kind::ALL`].
    pub(super) fn subscribe(&self) -> [watch::Receiver<Option<Item>>; Kind::ALL.len()] {
        std::array::from_fn(|kind| self.places[kind].subscribe())
    }

    fn put(&self, kind: Kind, data: &str) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.places[kind as usize].send_replace(Some(Item { id, data: data.into() }));
    }

    /// Puts what differs from what is there.
    fn put_if_new(&self, kind: Kind, data: &str) {
        let is_new = self.places[kind as usize].borrow().as_ref().is_none_or(|item| &*item.data != data);
        if is_new {
            self.put(kind, data);
        }
    }

    /// A client that comes after a time without any must not see what was then.
    fn clear(&self) {
        for place in &self.places {
            place.send_if_modified(|item| item.take().is_some());
        }
    }
}

/// Feeds the streams until the server stops.
pub(super) async fn run(app: Arc<App>) {
    let Some(running) = app.running.get() else { return };
    let mut changes = running.board.changed();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut feeding = Feeding::default();
    loop {
        tokio::select! {
            () = stop_told(app.stop.clone(), Stopping::Feed) => break,
            _ = ticks.tick() => {}
        }
        let now = now_micros();
        if app.history.is_due(now) {
            app.history.take(&running.board.status(), now);
        }
        if app.feed.listeners() == 0 {
            app.feed.clear();
            feeding = Feeding::default();
            continue;
        }
        // An error means that the board is gone: its last state stays.
        let is_new = changes.has_changed().unwrap_or(false);
        changes.mark_unchanged();
        feeding.tick(&app.feed, running, is_new).await;
    }
    // The last word before the streams end.
    app.feed.put(Kind::Status, &text(&running.board.status()));
}

/// What was fed since the first client came.
#[derive(Debug, Default)]
struct Feeding {
    status_at: Option<Instant>,
    ledger_at: Option<Instant>,
    ledger_is_due: bool,
    archive_version: Option<u64>,
    last_error: Option<String>,
}

impl Feeding {
    async fn tick(&mut self, feed: &Feed, running: &Running, changed: bool) {
        let now = Instant::now();
        let is_first = self.status_at.is_none();
        let is_due = |last: Option<Instant>, interval| last.is_none_or(|last| now.duration_since(last) >= interval);
        self.ledger_is_due |= changed || is_first;
        if changed || is_due(self.status_at, STATUS_INTERVAL) {
            let status = running.board.status();
            feed.put(Kind::Status, &text(&status));
            self.status_at = Some(now);
            if let Some(version) = status.archive.version
                && self.archive_version != Some(version)
            {
                self.archive_version = Some(version);
                feed.put(Kind::Archive, &json!({ "version": version }).to_string());
            }
        }
        if self.ledger_is_due && is_due(self.ledger_at, LEDGER_INTERVAL) {
            feed.put_if_new(Kind::Ledger, &text(&running.board.ledger()));
            self.ledger_at = Some(now);
            self.ledger_is_due = false;
        }
        if changed || is_first {
            self.feed_rows(feed, running).await;
        }
    }

    async fn feed_rows(&mut self, feed: &Feed, running: &Running) {
        let made = match running.queries.newest(NEWEST_ROWS).await {
            Ok(newest) => rows_event(&newest).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match made {
            Ok(data) => {
                feed.put_if_new(Kind::Rows, &data);
                self.last_error = None;
            }
            // Once, not four times a second.
            Err(error) if self.last_error.as_ref() != Some(&error) => {
                tracing::warn!(%error, "the newest rows cannot be shown");
                self.last_error = Some(error);
            }
            Err(_told) => {}
        }
    }
}

fn rows_event(newest: &QueryResult) -> Result<String, arrow::error::ArrowError> {
    let columns: Vec<_> = heads(&newest.schema).into_iter().map(|head| head.name).collect();
    let mut all = Vec::new();
    for batch in &newest.batches {
        all.extend(rows(batch)?);
    }
    Ok(json!({ "columns": columns, "rows": all }).to_string())
}

/// The contract types always serialise.
fn text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
