//! How a run is told to end: first drain, then, at a deadline or when asked again, abort.

use tokio::sync::watch;

/// What a run has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Nothing: go on.
    Run,
    /// Sources stop; what is on the way is brought to the archive.
    Drain,
    /// End now; the next start goes on from what is durable.
    Abort,
}

/// The hand that stops; one owner.
#[derive(Debug)]
pub(crate) struct StopSender(watch::Sender<Phase>);

/// What stages watch.
#[derive(Debug, Clone)]
pub(crate) struct StopToken(watch::Receiver<Phase>);

/// A connected pair.
pub(crate) fn stop_channel() -> (StopSender, StopToken) {
    let (sender, receiver) = watch::channel(Phase::Run);
    (StopSender(sender), StopToken(receiver))
}

impl StopSender {
    /// Raises the phase; it never goes back.
    pub(crate) fn raise(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let raised = phase > *current;
            if raised {
                *current = phase;
            }
            raised
        });
    }
}

impl StopToken {
    /// Waits until the phase is at least `phase`. Cancel safe. A dropped sender counts as abort.
    pub(crate) async fn reached(&mut self, phase: Phase) {
        // An error means that the sender is gone: nobody is left to wait for.
        let _ = self.0.wait_for(|current| *current >= phase).await;
    }

    /// Whether the phase is at least `phase`.
    pub(crate) fn is(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }
}
