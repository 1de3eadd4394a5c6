//! An append on its way, and what is known of it when it went wrong.

use millstream_core::progress::{FileProgress, PublisherProgress};
use tokio::task::JoinHandle;

use super::PublishError;
use crate::stream::{Applied, LogError, Recovered};

/// An append of which nobody knows whether it landed.
#[derive(Debug, thiserror::Error)]
#[error("an append was interrupted")]
pub(crate) struct Interrupted {
    /// What the log says.
    pub(crate) source: LogError,
    /// What was appended.
    applied: Applied,
    /// The publisher's own progress in it.
    progress: PublisherProgress,
}

impl Interrupted {
    /// What was appended, if the progress on the log tells that it landed.
    pub(crate) fn landed(&self, recovered: &Recovered) -> Option<&Applied> {
        let has = |file: &FileProgress| recovered.files.contains(file);
        (recovered.publisher == self.progress && self.applied.files.iter().all(has)).then_some(&self.applied)
    }
}

/// An append on its way.
pub(super) struct InFlight {
    pub(super) task: JoinHandle<Result<(), LogError>>,
    pub(super) applied: Applied,
    pub(super) progress: PublisherProgress,
}

impl InFlight {
    /// What became true. Cancel safe.
    pub(super) async fn landed(&mut self) -> Result<Applied, PublishError> {
        let ended = (&mut self.task).await.unwrap_or_else(|error| Err(LogError::Panicked(error)));
        let applied =
            std::mem::replace(&mut self.applied, Applied { files: Vec::new(), records: Vec::new(), dedup_keys: 0 });
        match ended {
            Ok(()) => Ok(applied),
            Err(source) => {
                let progress = std::mem::take(&mut self.progress);
                Err(PublishError::Append(Box::new(Interrupted { source, applied, progress })))
            }
        }
    }
}

/// The end of the append that is on its way. Cancel safe.
pub(super) async fn landed(in_flight: &mut Option<InFlight>) -> Result<Applied, PublishError> {
    match in_flight {
        Some(append) => append.landed().await,
        None => std::future::pending().await,
    }
}
