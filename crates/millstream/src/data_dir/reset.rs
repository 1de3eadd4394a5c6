//! Starting over: removes what a pipeline has written, and nothing else.

use std::fs::{Metadata, symlink_metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use millstream_core::config::Config;

use super::files::{failed, remove_if_there};
use super::format::Format;
use super::{DataDirError, FORMAT, LOCK, LOG, RUN_INFO, lock_exclusively};

/// The tables of an archive: folders of their own, each with a Delta log.
const ARCHIVE_TABLES: [&str; 2] = ["rows", "rejects"];

/// What was, or would be, removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Files and folders.
    pub(crate) paths: Vec<PathBuf>,
}

/// Removes the log and the state of a pipeline, and its archive on this machine when `archive` says so. With `dry_run` it only tells what
/// it would remove. Symbolic links are never followed.
///
/// # Errors
/// A process uses the folder, it is of another pipeline, or something in it does not look like ours; then nothing was removed.
pub(crate) fn reset(config: &Config, archive: bool, dry_run: bool) -> Result<Removed, DataDirError> {
    let data_dir = &config.pipeline.data_dir;
    let mut paths = Vec::new();
    let lock = if is_there(data_dir)?.is_some() {
        refuse_other_pipeline(config)?;
        // Only a folder that has been ours can be locked: nothing is created in a foreign one.
        let lock = if is_there(&data_dir.join(LOCK))?.is_some() { Some(lock_exclusively(data_dir)?) } else { None };
        paths.extend(state_paths(data_dir)?);
        lock
    } else {
        None
    };
    let archive_folder = config.archive.path.folder();
    if let (true, Some(folder)) = (archive, archive_folder) {
        paths.extend(archive_paths(folder)?);
    }
    if !dry_run {
        for path in &paths {
            remove(path)?;
        }
        // Folders of ours that are empty now go too; others stay.
        for folder in archive_folder.into_iter().chain([data_dir.as_path()]) {
            remove_empty(folder)?;
        }
    }
    drop(lock);
    Ok(Removed { paths })
}

fn refuse_other_pipeline(config: &Config) -> Result<(), DataDirError> {
    let path = &config.pipeline.data_dir;
    match Format::read(&path.join(FORMAT)) {
        Ok(Some(found)) if found.pipeline != config.pipeline.name => Err(DataDirError::OtherPipeline {
            path: path.clone(),
            found: found.pipeline,
            wanted: config.pipeline.name.clone(),
        }),
        Ok(None) if is_there(&path.join(LOG))?.is_some() => {
            Err(DataDirError::NotOurs { path: path.clone(), reason: "has a folder `log` but no file `FORMAT`" })
        }
        // Starting over is the way out of a damaged or a newer one.
        Ok(_) | Err(DataDirError::Damaged { .. } | DataDirError::NewerFormat { .. }) => Ok(()),
        Err(
            error @ (DataDirError::InUse { .. }
            | DataDirError::OtherPipeline { .. }
            | DataDirError::Changed { .. }
            | DataDirError::NotOurs { .. }
            | DataDirError::FileSystem { .. }),
        ) => Err(error),
    }
}

/// The lock goes last, so that no other process starts in a folder that is half removed.
fn state_paths(data_dir: &Path) -> Result<Vec<PathBuf>, DataDirError> {
    let mut found = Vec::new();
    for name in [LOG, FORMAT, RUN_INFO, LOCK] {
        let path = data_dir.join(name);
        if let Some(metadata) = is_there(&path)? {
            if metadata.is_dir() != (name == LOG) {
                return Err(DataDirError::NotOurs { path, reason: "is not what millstream makes there" });
            }
            found.push(path);
        }
    }
    Ok(found)
}

fn archive_paths(archive: &Path) -> Result<Vec<PathBuf>, DataDirError> {
    let mut found = Vec::new();
    match is_there(archive)? {
        None => return Ok(found),
        Some(metadata) if !metadata.is_dir() => {
            return Err(DataDirError::NotOurs {
                path: archive.to_owned(),
                reason: "is not a folder (links are not followed)",
            });
        }
        Some(_) => {}
    }
    for table in ARCHIVE_TABLES {
        let path = archive.join(table);
        if is_there(&path)?.is_none() {
            continue;
        }
        if !is_table(&path)? {
            return Err(DataDirError::NotOurs {
                path,
                reason: "does not look like a table of the archive (no `_delta_log`)",
            });
        }
        found.push(path);
    }
    Ok(found)
}

/// A folder with a Delta log, or one that was made for a table and is still empty.
fn is_table(path: &Path) -> Result<bool, DataDirError> {
    if !is_there(path)?.is_some_and(|metadata| metadata.is_dir()) {
        return Ok(false);
    }
    let has_log = is_there(&path.join("_delta_log"))?.is_some_and(|metadata| metadata.is_dir());
    let mut entries = std::fs::read_dir(path).map_err(failed("listing", path))?;
    Ok(has_log || entries.next().is_none())
}

/// What is at a path itself, links not followed.
fn is_there(path: &Path) -> Result<Option<Metadata>, DataDirError> {
    match symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(failed("looking at", path)(source)),
    }
}

fn remove(path: &Path) -> Result<(), DataDirError> {
    match is_there(path)? {
        // The standard library removes links inside, never what they point to.
        Some(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path).map_err(failed("removing", path)),
        Some(_) | None => remove_if_there(path),
    }
}

fn remove_empty(path: &Path) -> Result<(), DataDirError> {
    match std::fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory | ErrorKind::ResourceBusy
            ) =>
        {
            Ok(())
        }
        Err(source) => Err(failed("removing", path)(source)),
    }
}
