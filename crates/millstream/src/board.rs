//! What everybody may know about a running pipeline: counters that the stages feed, read by server and terminal.

use millstream_core::status::{Ledger, Status};
use tokio::sync::watch;

/// The board of one run; cheap to share behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Board {
    changed: watch::Sender<u64>,
}

impl Board {
    /// The state now.
    pub(crate) fn status(&self) -> Status {
        unimplemented!("lead")
    }

    /// The ledger now.
    pub(crate) fn ledger(&self) -> Ledger {
        unimplemented!("lead")
    }

    /// Ticks whenever something changed (at most some times a second).
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
