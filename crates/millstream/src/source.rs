//! Where rows come from: finding source files, reading their footers, reading their rows.
//!
//! Every file is read through `object_store`, at the state in which it was found: a file that changes midway is noticed by
//! its tag and quarantined, never read on.

pub(crate) mod find;
#[cfg(test)]
mod fuzz;
pub(crate) mod isolated;
pub(crate) mod list;
pub(crate) mod plan;
pub(crate) mod read;
pub(crate) mod retry;
pub(crate) mod untrusted;

use std::path::PathBuf;
use std::sync::Arc;

use millstream_core::config::StoreUrl;
use object_store::ObjectMeta;
use object_store::path::Path as StorePath;

use crate::store::StoreError;

/// A source file as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFile {
    /// Path relative to the pipeline file, `/`-separated, or URL: the `_file` of its rows.
    pub(crate) file: Arc<str>,
    /// Where the object store has it.
    pub(crate) location: StorePath,
    /// Size, bytes.
    pub(crate) size: u64,
    /// Modification tag.
    pub(crate) tag: String,
}

/// Why the source could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// A pattern of `source.path` is no valid glob.
    #[error("`source.path` has `{pattern}`, which is no valid pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why.
        source: glob::PatternError,
    },
    /// A path of `source.path` cannot be turned into a location.
    #[error("`source.path` has `{path}`, which is no usable path")]
    Path {
        /// The path.
        path: String,
        /// Why.
        source: object_store::path::Error,
    },
    /// Listing a folder failed.
    #[error("cannot list `{folder}`")]
    List {
        /// The folder.
        folder: String,
        /// Why.
        source: object_store::Error,
    },
    /// The bucket of the source cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing matches, and nothing is awaited.
    #[error("nothing matches `source.path` = {patterns}; correct it, or set `watch = true` to wait for files")]
    Nothing {
        /// The patterns as written.
        patterns: String,
    },
    /// Reading a file failed.
    #[error("cannot read `{file}`: {reason}")]
    Read {
        /// The file.
        file: String,
        /// Why, in full.
        reason: String,
    },
    /// The file cannot be cleaned by the pipeline file.
    #[error("`{file}` cannot be cleaned: {reason}")]
    Refused {
        /// The file.
        file: String,
        /// Why, in full.
        reason: String,
    },
    /// The file is not what it was when it was found.
    #[error("`{file}` changed while it was being read")]
    Changed {
        /// The file.
        file: String,
    },
    /// The stage behind is gone; it tells why.
    #[error("the next stage ended")]
    Closed,
    /// A drift or plan says that the run must stop.
    #[error("`{file}`: {reason}")]
    Stop {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

/// What tells a file from what it was before. Times of object stores are too coarse for that.
fn tag_of(file: &str, meta: &ObjectMeta) -> String {
    let tag = meta.e_tag.clone().filter(|_| StoreUrl::is_url(file));
    tag.unwrap_or_else(|| meta.last_modified.timestamp_micros().to_string())
}

/// The path of what the store of the local disk has at a location.
fn path_of(location: &StorePath) -> PathBuf {
    PathBuf::from(format!("/{location}"))
}

impl FoundFile {
    /// Its URL, if it is in an object store.
    pub(crate) fn url(&self) -> Option<&str> {
        Some(&*self.file).filter(|file| StoreUrl::is_url(file))
    }

    /// Its path on the local disk.
    pub(crate) fn path(&self) -> PathBuf {
        path_of(&self.location)
    }
}

impl SourceError {
    /// What is wrong with a file, without its name.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Read { reason, .. } | Self::Refused { reason, .. } | Self::Stop { reason, .. } => reason.clone(),
            Self::Changed { .. } => "it changed while it was being read".to_owned(),
            Self::Pattern { .. }
            | Self::Path { .. }
            | Self::List { .. }
            | Self::Store(_)
            | Self::Nothing { .. }
            | Self::Closed => self.to_string(),
        }
    }
}
