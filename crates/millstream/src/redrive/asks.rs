//! The way from a redrive to the publisher, who alone writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use millstream_core::plan::KnownSchema;
use millstream_core::progress::Outcomes;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::RedriveError;
use crate::table::Seqs;

/// What the publisher is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Where it stands.
    Standing(oneshot::Sender<Standing>),
    /// Which columns are known so far, durable or not.
    Known(oneshot::Sender<KnownSchema>),
    /// To publish rows that were rejected.
    Publish(Box<Redriven>, oneshot::Sender<Result<Published, String>>),
}

/// Where the publisher stands: all of it durable.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Seqs behind all that was ever published of its files.
    pub(crate) seqs: Seqs,
    /// The columns known so far.
    pub(crate) known: KnownSchema,
}

/// Rows of one file that were rejected and are no more. None of them is published twice: whoever sends them has seen them unresolved
/// behind a [`Standing`], and nobody else resolves.
#[derive(Debug)]
pub(crate) struct Redriven {
    /// The file.
    pub(crate) file: String,
    /// Rows that pass now, as cleaning makes them.
    pub(crate) clean: RecordBatch,
    /// Numbers of rows that the filter leaves out now.
    pub(crate) filtered: Vec<u64>,
    /// The rules that had rejected each of these rows.
    pub(crate) rules: BTreeMap<u64, Arc<[String]>>,
    /// Stands for the rules that they passed.
    pub(crate) rules_hash: String,
}

/// What became of [`Redriven`] rows, durably.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// Delivered.
    pub(crate) delivered: u64,
    /// Repeats.
    pub(crate) duplicates: u64,
    /// Too large for a record: they stay rejected.
    pub(crate) too_large: u64,
}

impl Published {
    /// Of an outcome, and rows that stay as they are.
    pub(crate) fn of(outcomes: &Outcomes, too_large: u64) -> Self {
        Self { delivered: outcomes.clean, duplicates: outcomes.deduplicated, too_large }
    }
}

/// The way; it outlives a publisher that begins anew.
#[derive(Debug)]
pub(crate) struct Asks {
    sender: mpsc::Sender<Ask>,
    receiver: Mutex<mpsc::Receiver<Ask>>,
}

impl Default for Asks {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(1);
        Self { sender, receiver: Mutex::new(receiver) }
    }
}

impl Asks {
    /// Where the publisher stands, once that is durable.
    ///
    /// # Errors
    /// It is about to end, or an append was lost.
    pub(crate) async fn standing(&self) -> Result<Standing, RedriveError> {
        self.ask(Ask::Standing).await
    }

    /// The columns known so far.
    ///
    /// # Errors
    /// As [`Self::standing`].
    pub(crate) async fn known(&self) -> Result<KnownSchema, RedriveError> {
        self.ask(Ask::Known).await
    }

    /// Has rows published, and waits until they are durable.
    ///
    /// # Errors
    /// As [`Self::standing`]; within, why the publisher does not take rows of this file.
    pub(crate) async fn publish(&self, redriven: Redriven) -> Result<Result<Published, String>, RedriveError> {
        self.ask(|reply| Ask::Publish(Box::new(redriven), reply)).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, RedriveError> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(ask(reply)).await.map_err(|_| RedriveError::Ending)?;
        answer.await.map_err(|_| if self.sender.is_closed() { RedriveError::Ending } else { RedriveError::Lost })
    }

    /// The next one. Cancel safe.
    pub(crate) async fn next(&self) -> Ask {
        match self.receiver.lock().await.recv().await {
            Some(ask) => ask,
            // It was closed: there will be none.
            None => std::future::pending().await,
        }
    }

    /// Nobody is answered from here on.
    pub(crate) async fn close(&self) {
        let mut receiver = self.receiver.lock().await;
        receiver.close();
        while receiver.recv().await.is_some() {}
    }
}
