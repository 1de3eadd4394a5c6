//! How long a process that reads a file has worked: time in which it waits for the store does not count, and neither does time in which
//! this process was stopped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pieces that the time is counted in.
const PIECES: u32 = 60;

/// Fetches from the store: odd while one is under way.
#[derive(Debug, Default)]
pub(super) struct Fetches(AtomicU64);

/// A fetch that is under way.
#[must_use]
pub(super) struct UnderWay<'a>(&'a Fetches);

impl Fetches {
    /// A fetch begins. One at a time: the reader asks for the next when it has the one before.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(self)
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is left of the time in which something has to come.
#[derive(Debug)]
pub(super) struct Work {
    piece: Duration,
    left: u32,
}

impl Work {
    /// Time that a reader may work.
    pub(super) fn new(time: Duration) -> Self {
        Self { piece: time / PIECES, left: PIECES }
    }

    /// What is awaited; none when the reader worked for longer without giving it. A piece of time counts once, however late its end is
    /// noticed, and not at all when one fetch took all of it.
    pub(super) async fn within<T>(mut self, fetches: &Fetches, awaited: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(awaited);
        while self.left > 0 {
            let before = fetches.count();
            if let Ok(given) = tokio::time::timeout(self.piece, &mut awaited).await {
                return Some(given);
            }
            let waited = before % 2 == 1 && fetches.count() == before;
            self.left -= u32::from(!waited);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    const TIME: Duration = Duration::from_millis(60);

    /// More looks than there are in all pieces: one at the begin and one at the end of each.
    const MANY: u32 = 3 * PIECES;

    /// Comes at the last of many looks.
    fn late() -> impl Future<Output = u32> {
        let mut looks = 0;
        poll_fn(move |_| {
            looks += 1;
            if looks == MANY { Poll::Ready(7) } else { Poll::Pending }
        })
    }

    #[tokio::test]
    async fn time_counts_while_the_reader_works_and_not_while_it_waits_for_the_store() {
        let fetches = Fetches::default();
        assert_eq!(Work::new(TIME).within(&fetches, late()).await, None);

        let under_way = fetches.begin();
        assert_eq!(Work::new(TIME).within(&fetches, late()).await, Some(7), "a store that is away is waited for");
        drop(under_way);

        let asking = poll_fn(|_| {
            drop(fetches.begin());
            Poll::<()>::Pending
        });
        assert_eq!(Work::new(TIME).within(&fetches, asking).await, None, "asking again and again is work");
    }
}
