//! A file that others replace: read again when it is another one.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::chain::chain;
use crate::users::UsersError;

/// The file cannot be read; why was logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) struct Unreadable;

/// A file and what was read from it last.
pub(super) struct Watched<T> {
    path: PathBuf,
    read: fn(&Path) -> Result<T, UsersError>,
    seen: Mutex<Option<Seen<T>>>,
}

struct Seen<T> {
    stamp: Option<Stamp>,
    value: Result<Arc<T>, Unreadable>,
}

/// Device, inode, size, and when content or mode were changed.
type Stamp = (u64, u64, u64, i64, i64);

impl<T> Watched<T> {
    /// `read` also says what a file that is not there stands for.
    pub(super) fn new(path: &Path, read: fn(&Path) -> Result<T, UsersError>) -> Self {
        Self { path: path.to_owned(), read, seen: Mutex::new(None) }
    }

    /// What the file says now. A look at its metadata, unless it has changed.
    pub(super) fn current(&self) -> Result<Arc<T>, Unreadable> {
        // A panic elsewhere leaves what was read before.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before the file is read: what changes meanwhile is read again the next time.
        let stamp = stamp(&self.path);
        if let Some(Seen { stamp: before, value }) = &*seen
            && *before == stamp
        {
            return value.clone();
        }
        let value = (self.read)(&self.path).map(Arc::new).map_err(|error| {
            tracing::error!(error = chain(&error), "nobody can log in");
            Unreadable
        });
        *seen = Some(Seen { stamp, value: value.clone() });
        value
    }
}

/// None of a file that is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    match std::fs::metadata(path) {
        Ok(found) => Some((found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec())),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        // Another one than any file's: reading says what is wrong.
        Err(_) => Some((0, 0, 0, 0, 0)),
    }
}
