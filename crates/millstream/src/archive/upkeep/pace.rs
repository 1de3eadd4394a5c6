//! The pace of upkeep: beside a running pipeline it rests as long as it worked, and ends when it is told to.

use std::time::{Duration, Instant};

use crate::stop::{Phase, StopToken};

/// Longest rest at a time.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// How fast, and until when.
#[derive(Debug)]
pub(crate) struct Pace {
    stop: Option<StopToken>,
    worked_since: Instant,
}

impl Pace {
    /// Beside a pipeline that runs in this process.
    pub(crate) fn beside(stop: StopToken) -> Self {
        Self { stop: Some(stop), worked_since: Instant::now() }
    }

    /// As fast as it goes.
    pub(crate) fn full() -> Self {
        Self { stop: None, worked_since: Instant::now() }
    }

    /// Work begins now.
    pub(crate) fn begin(&mut self) {
        self.worked_since = Instant::now();
    }

    /// Rests between two pieces of work. `false`: give up what is under way.
    pub(crate) async fn rest(&mut self) -> bool {
        if let Some(stop) = &mut self.stop {
            let rest = self.worked_since.elapsed().min(LONGEST_REST);
            tokio::select! {
                () = stop.reached(Phase::Drain) => return false,
                () = tokio::time::sleep(rest) => {}
            }
        }
        self.begin();
        true
    }
}
