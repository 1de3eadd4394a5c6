//! The books of a stream whose stages run in several processes: read again and again from the log and the archive, which know
//! what all of them did.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_core::config::Config;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::board::Board;
use crate::chain::chain;
use crate::durable::{books, open_archive};
use crate::pipeline::PipelineError;
use crate::stop::{Phase, StopToken};
use crate::stream::Log;
use crate::supervise::TaskError;

/// Shortest time between two surveys.
const INTERVAL: Duration = Duration::from_secs(3);

/// Longest time between two surveys.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30);

/// A survey rests for this many times of what it took.
const REST: u32 = 10;

/// The surveyor.
pub(crate) struct Survey {
    /// The pipeline file.
    pub(crate) config: Arc<Config>,
    /// The log, opened by one who only looks.
    pub(crate) log: Arc<dyn Log>,
    /// Where the books go.
    pub(crate) board: Arc<Board>,
    /// What people were told last.
    pub(crate) told: Mutex<String>,
}

impl Survey {
    /// Surveys until `stop` says so, or once more after everything is `published`.
    pub(crate) async fn run(self, mut published: watch::Receiver<bool>, mut stop: StopToken) -> Result<(), TaskError> {
        let mut is_last = false;
        loop {
            let began = Instant::now();
            let mut rest = INTERVAL;
            if self.look().await {
                rest = (began.elapsed() * REST).clamp(INTERVAL, LONGEST_INTERVAL);
            }
            if is_last {
                return Ok(());
            }
            tokio::select! {
                () = stop.reached(Phase::Drain) => return Ok(()),
                () = tokio::time::sleep(rest) => {}
                // An error means that others publish, and are never done.
                Ok(_) = published.wait_for(|&done| done) => is_last = true,
            }
        }
    }

    /// Reads the books once. `false` when they cannot be read: then they stay as they were, and what keeps the log from working is
    /// told by those who work with it.
    pub(crate) async fn look(&self) -> bool {
        let mut looked = self.once().await;
        if looked.is_err() {
            // What the archive held may have left the log while this read: a newer version of the archive tells.
            looked = self.once().await;
        }
        if let Err(error) = &looked {
            let text = chain(error);
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if *told != text {
                warn!(error = text, "the books over all processes cannot be read; trying again");
                self.board.message_warn(format!(
                    "the books over all processes are as of earlier, for they cannot be read: {text}"
                ));
                *told = text;
            }
        }
        looked.is_ok()
    }

    /// The archive first: whatever it holds was published before the progress that is read next.
    async fn once(&self) -> Result<(), PipelineError> {
        if self.config.is_foreign() {
            // Nobody who writes such a topic keeps books: the archive has all that is known.
            let opened = open_archive(&self.config, self.log.state().stream).await?;
            self.board.survey_received(&opened.archive, &self.log.bounds().await?);
            return Ok(());
        }
        self.board.survey_begins();
        let state = self.log.state();
        let opened = open_archive(&self.config, state.stream).await?;
        let (recovered, pending) = books(&*self.log, &opened.archived, &opened.seqs).await?;
        self.board.survey_ends(&recovered, &pending, &opened.archive, &self.log.state().partitions);
        Ok(())
    }
}
