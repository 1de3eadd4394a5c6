//! The data folder of a pipeline: who may use it, what is fixed in it, and how other commands find the running process.
//!
//! It holds `FORMAT` (what was fixed at the first run), `lock` (held by the one process that uses the folder), `run.json`
//! (where that process listens) and `log`. This module never looks into the log or the archive.

pub(crate) mod files;
mod format;
mod reset;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::config::Config;
use serde::{Deserialize, Serialize};

use self::files::{create_private_dir, remove_if_there, write_atomically};
use self::format::Format;

pub(crate) use self::reset::reset;

/// Name of the folder of the embedded log.
pub(crate) const LOG: &str = "log";
const FORMAT: &str = "FORMAT";
const LOCK: &str = "lock";
const RUN_INFO: &str = "run.json";

/// How often, and how long apart, a lock that is held is tried again: commands that only look hold it for an instant.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(30);

/// Where a running pipeline listens; the content of `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunInfo {
    /// Process id.
    pub(crate) pid: u32,
    /// Address of the page and the API, such as `http://127.0.0.1:8080`.
    pub(crate) url: String,
    /// Lets the commands of this machine in; another one at each start.
    pub(crate) token: String,
    /// When the process started, RFC 3339.
    pub(crate) started_at: String,
}

/// What a command that only looks finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// No process uses the folder, or there is no folder.
    Idle,
    /// A process uses it; none while it still starts.
    Running(Option<RunInfo>),
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another process has it.
    #[error(
        "another process{} uses the data folder `{}`; stop it first (Ctrl-C, or SIGTERM), or look at it with `millstream status`",
        .pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default(), .path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Process id, once it has told it.
        pid: Option<u32>,
    },
    /// A newer version of the program wrote it.
    #[error(
        "the data folder `{}` has format {found}, and this version of millstream knows formats up to {known}: \
         use the version that wrote it, or start over with `millstream reset`",
        .path.display()
    )]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest that this program knows.
        known: u64,
    },
    /// It belongs to another pipeline.
    #[error(
        "the data folder `{}` belongs to the pipeline `{found}`, not to `{wanted}`: set `pipeline.data_dir` to another \
         folder, or name the pipeline `{found}` again, or remove the data with `millstream reset` of `{found}`",
        .path.display()
    )]
    OtherPipeline {
        /// The folder.
        path: PathBuf,
        /// Its pipeline.
        found: String,
        /// The one that asked.
        wanted: String,
    },
    /// Settings that are fixed at the first run were changed.
    #[error("{}", format::describe_changes(.changes))]
    Changed {
        /// One for each setting.
        changes: Vec<Change>,
    },
    /// A file of ours cannot be understood.
    #[error("`{}` is damaged ({reason}): restore the data folder from a backup, or start over with `millstream reset`", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What is to be removed does not look like ours.
    #[error("`{}` {reason}: nothing was removed", .path.display())]
    NotOurs {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// The file system refused.
    #[error("{operation} `{}`", .path.display())]
    FileSystem {
        /// What was tried, such as `creating the folder`.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A setting that differs from the first run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its key, such as `stream.partitions`.
    pub(crate) setting: String,
    /// Value at the first run, as TOML would write it.
    pub(crate) before: String,
    /// Value now.
    pub(crate) now: String,
}

/// An open data folder: as long as this value lives, no other process can open it.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    format: Mutex<Format>,
    // Held for its lock, which the system gives up when the process ends in any way.
    _lock: File,
}

impl DataDir {
    /// Opens the folder of a pipeline, creating it (mode 0700) at the first run.
    ///
    /// # Errors
    /// Another process has it, it is of another pipeline or a newer format, or a fixed setting was changed.
    pub(crate) fn open(config: &Config) -> Result<Self, DataDirError> {
        let path = config.pipeline.data_dir.clone();
        create_private_dir(&path)?;
        let lock = lock_exclusively(&path)?;
        let format_path = path.join(FORMAT);
        let wanted = Format::of(config);
        let format = if let Some(found) = Format::read(&format_path)? {
            found.admits(&wanted, &path)?;
            match found.raised() {
                Some(raised) => {
                    raised.write(&format_path)?;
                    raised
                }
                None => found,
            }
        } else {
            wanted.write(&format_path)?;
            wanted
        };
        // A process that was killed could not remove it; the lock proves that it is gone.
        remove_if_there(&path.join(RUN_INFO))?;
        Ok(Self { path, format: Mutex::new(format), _lock: lock })
    }

    /// Writes down the id of the stream; durable when it returns.
    pub(crate) fn set_stream_id(&self, stream_id: &str) -> Result<(), DataDirError> {
        let mut format = self.format();
        if format.stream_id.as_deref() == Some(stream_id) {
            return Ok(());
        }
        let named = format.with_stream_id(stream_id);
        named.write(&self.path.join(FORMAT))?;
        *format = named;
        Ok(())
    }

    /// Tells other commands where this process listens (mode 0600).
    pub(crate) fn write_run_info(&self, info: &RunInfo) -> Result<(), DataDirError> {
        let path = self.path.join(RUN_INFO);
        let text = to_json(info, &path)?;
        write_atomically(&path, &text)
    }

    /// Takes back what [`Self::write_run_info`] told.
    pub(crate) fn remove_run_info(&self) -> Result<(), DataDirError> {
        remove_if_there(&self.path.join(RUN_INFO))
    }

    fn format(&self) -> MutexGuard<'_, Format> {
        // A panic elsewhere leaves a whole value: it is replaced in one step.
        self.format.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks whether a process uses the folder, without changing anything in it.
pub(crate) fn find(path: &Path) -> Result<Found, DataDirError> {
    let lock_path = path.join(LOCK);
    let file = match File::open(&lock_path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Idle),
        Err(source) => return Err(DataDirError::FileSystem { operation: "opening", path: lock_path, source }),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Found::Idle),
        Err(TryLockError::WouldBlock) => Ok(Found::Running(read_run_info(path)?)),
        Err(TryLockError::Error(source)) => {
            Err(DataDirError::FileSystem { operation: "locking", path: lock_path, source })
        }
    }
}

/// What `FORMAT` says for a person: pipeline and stream id; none when the folder was never used.
pub(crate) fn describe(path: &Path) -> Result<Option<(String, Option<String>)>, DataDirError> {
    Ok(Format::read(&path.join(FORMAT))?.map(|format| (format.pipeline, format.stream_id)))
}

fn lock_exclusively(path: &Path) -> Result<File, DataDirError> {
    let lock_path = path.join(LOCK);
    let failed = |source| DataDirError::FileSystem { operation: "locking", path: lock_path.clone(), source };
    let file = files::private_file().create(true).truncate(false).open(&lock_path).map_err(failed)?;
    for attempt in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if attempt + 1 < LOCK_TRIES => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    let pid = read_run_info(path)?.map(|info| info.pid);
    Err(DataDirError::InUse { path: path.to_owned(), pid })
}

/// None while the process that holds the lock has not written it yet.
fn read_run_info(path: &Path) -> Result<Option<RunInfo>, DataDirError> {
    let path = path.join(RUN_INFO);
    let Some(text) = files::read_if_there(&path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| DataDirError::Damaged { path, reason: error.to_string() })
}

fn to_json<T: Serialize>(value: &T, path: &Path) -> Result<String, DataDirError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| DataDirError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests;
