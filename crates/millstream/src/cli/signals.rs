//! Ctrl-C and SIGTERM: the first drains, the second or the deadline aborts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use super::number;
use super::terminal::Terminal;
use crate::stop::{Phase, StopSender};

/// The task that turns signals into phases.
pub(super) struct Signals {
    aborted: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Signals {
    /// Takes the signals of the process from now on.
    pub(super) fn watch(
        stop: StopSender,
        deadline: Duration,
        terminal: Terminal,
        handle: &Handle,
    ) -> std::io::Result<Self> {
        let _context = handle.enter();
        let mut both =
            Both { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? };
        let aborted = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&aborted);
        let task = handle.spawn(async move {
            both.next().await;
            let most = number::duration(deadline.as_secs_f64());
            terminal.say(&format!(
                "stopping: what is under way is brought to the archive, for at most {most}; again Ctrl-C or SIGTERM aborts"
            ));
            stop.raise(Phase::Drain);
            if tokio::time::timeout(deadline, both.next()).await.is_ok() {
                told.store(true, Ordering::SeqCst);
            } else {
                terminal.say(&format!(
                    "not drained within {most} (`pipeline.drain_deadline`): ending now; nothing is lost, the next run goes on"
                ));
            }
            stop.raise(Phase::Abort);
            // The sender must live as long as the run: a dropped one is an abort too.
            std::future::pending::<()>().await;
        });
        Ok(Self { aborted, task })
    }

    /// Ends the task; tells whether a second signal came.
    pub(super) fn end(self) -> bool {
        self.task.abort();
        self.aborted.load(Ordering::SeqCst)
    }
}

struct Both {
    interrupt: Signal,
    terminate: Signal,
}

impl Both {
    /// Waits for either. Cancel safe.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
