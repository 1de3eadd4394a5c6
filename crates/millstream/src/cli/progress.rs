//! How far a run is: a bar on a terminal, plain lines elsewhere.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use millstream_core::status::{PipelineState, Status};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::number::{count, counted, duration, rate};
use super::terminal::Terminal;
use crate::board::Board;

const BAR_INTERVAL: Duration = Duration::from_millis(250);
const LINE_INTERVAL: Duration = Duration::from_secs(5);
const TEMPLATE: &str = "{bar:28.cyan/dim} {percent:>3}%  {msg}";

/// What is shown while a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// Nothing: a script reads the result.
    Nothing,
    /// How far it is.
    Progress,
}

/// The task that shows it.
pub(super) struct Progress {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Progress {
    /// Shows how far the run behind `board` is until [`Progress::end`].
    pub(super) fn start(board: Arc<Board>, terminal: Terminal, handle: &Handle) -> Self {
        let (end, ended) = watch::channel(false);
        let task = handle.spawn(show(board, terminal, ended));
        Self { end, task }
    }

    /// Takes the bar away.
    pub(super) async fn end(self) {
        self.end.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the progress display ended by itself");
        }
    }
}

async fn show(board: Arc<Board>, terminal: Terminal, mut ended: watch::Receiver<bool>) {
    let bar = terminal.is_terminal().then(|| terminal.add(new_bar()));
    let mut ticks = tokio::time::interval(if bar.is_some() { BAR_INTERVAL } else { LINE_INTERVAL });
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut looks = tokio::time::interval(BAR_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last_line = String::new();
    let mut all_archived_told = false;
    loop {
        tokio::select! {
            _ = ended.wait_for(|ended| *ended) => break,
            _ = looks.tick() => {
                let status = board.status();
                let is_all_archived = is_all_archived(&status);
                if is_all_archived && !all_archived_told {
                    terminal.say(&all_archived(&status));
                }
                all_archived_told = is_all_archived;
                if let Some(bar) = &bar {
                    draw(bar, &status);
                }
            }
            _ = ticks.tick(), if bar.is_none() => {
                let line = line(&board.status());
                if line != last_line {
                    terminal.say(&line);
                    last_line = line;
                }
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    // A template of ours is always good; if not, the plain bar does.
    bar.set_style(ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn draw(bar: &ProgressBar, status: &Status) {
    bar.set_length(status.source.rows_total);
    bar.set_position(status.source.rows_read);
    bar.set_message(format!(
        "{} of {} rows · {}/s · {} archived · {} rejected",
        count(status.source.rows_read),
        count(status.source.rows_total),
        rate(status.source.rows_per_second),
        count(status.archive.rows),
        count(status.clean.rejected),
    ));
}

fn line(status: &Status) -> String {
    format!(
        "{} of {} rows read ({}/s), {} archived, {} rejected, {} repeats, {} filtered",
        count(status.source.rows_read),
        count(status.source.rows_total),
        rate(status.source.rows_per_second),
        count(status.archive.rows),
        count(status.clean.rejected),
        count(status.clean.deduplicated),
        count(status.clean.filtered),
    )
}

/// Every known file is done, and the archive holds what is to be held.
fn is_all_archived(status: &Status) -> bool {
    match status.state {
        PipelineState::Waiting | PipelineState::Done => {
            status.table.rows_not_archived == 0
                && status.source.rows_read == status.source.rows_total
                && status.source.files_waiting + status.source.files_reading == 0
        }
        PipelineState::Starting | PipelineState::Running | PipelineState::Draining | PipelineState::Failed => false,
    }
}

fn all_archived(status: &Status) -> String {
    let source = &status.source;
    let quarantined = if source.files_quarantined > 0 {
        format!("; {} quarantined (see `millstream status`)", counted(source.files_quarantined, "file"))
    } else {
        String::new()
    };
    format!(
        "all of {} in {} has its place after {}: {} archived, {} rejected, {} repeats, {} filtered{quarantined}",
        counted(source.rows_total, "row"),
        counted(source.files_done, "file"),
        duration(status.uptime_seconds),
        count(status.archive.rows),
        count(status.archive.reject_rows),
        count(status.clean.deduplicated),
        count(status.clean.filtered),
    )
}
