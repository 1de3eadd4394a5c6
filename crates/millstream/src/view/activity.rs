//! What queries do at the moment, and how the others ended. A query counts as running for as long as work on it goes on:
//! also one whose client is gone, until the last of it is dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use millstream_core::status::{EndedQueries, RunningQuery};

use super::QueryError;

/// Most characters of a statement that are kept to be shown.
const SHOWN_CHARACTERS: usize = 500;

/// Running and ended queries of this process.
#[derive(Debug, Default)]
pub(super) struct Activity {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next_id: u64,
    running: BTreeMap<u64, (String, Instant)>,
    ended: EndedQueries,
}

/// A query that runs; cancelled when it is dropped without an end.
#[derive(Debug)]
pub(super) struct Place {
    activity: Arc<Activity>,
    id: u64,
    ended: bool,
}

impl Activity {
    /// A query begins.
    pub(super) fn begin(self: &Arc<Self>, sql: &str) -> Place {
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        inner.running.insert(id, (sql.chars().take(SHOWN_CHARACTERS).collect(), Instant::now()));
        Place { activity: Arc::clone(self), id, ended: false }
    }

    /// Those that run, the longest first, and how the others ended.
    pub(super) fn now(&self) -> (Vec<RunningQuery>, EndedQueries) {
        let inner = self.lock();
        let running = |(sql, since): &(String, Instant)| RunningQuery {
            sql: sql.clone(),
            seconds: since.elapsed().as_secs_f64(),
        };
        (inner.running.values().map(running).collect(), inner.ended.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The query came to its end.
    pub(super) fn end<T>(mut self, result: &Result<T, QueryError>) {
        self.ended = true;
        let mut inner = self.activity.lock();
        let ended = &mut inner.ended;
        let count = match result {
            Ok(_) => &mut ended.answered,
            Err(QueryError::Refused { .. }) => &mut ended.refused,
            Err(QueryError::TimedOut(_)) => &mut ended.timed_out,
            Err(QueryError::TooLarge(_) | QueryError::TooLong(_)) => &mut ended.too_large,
            Err(QueryError::Stopping) => &mut ended.cancelled,
            Err(QueryError::NoRoom(_) | QueryError::Failed(_)) => &mut ended.failed,
        };
        *count += 1;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.activity.lock();
        inner.running.remove(&self.id);
        if !self.ended {
            inner.ended.cancelled += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_runs_until_it_ends_and_is_cancelled_when_it_is_dropped() {
        let activity = Arc::new(Activity::default());
        let answered = activity.begin("SELECT 1");
        let dropped = activity.begin("SELECT 2");
        let running: Vec<_> = activity.now().0.into_iter().map(|query| query.sql).collect();
        assert_eq!(running, ["SELECT 1", "SELECT 2"]);
        answered.end(&Ok(()));
        drop(dropped);
        activity.begin("SELECT 3").end::<()>(&Err(QueryError::Failed("it broke".to_owned())));
        let (running, ended) = activity.now();
        assert!(running.is_empty());
        assert_eq!(ended, EndedQueries { answered: 1, cancelled: 1, failed: 1, ..EndedQueries::default() });
    }
}
