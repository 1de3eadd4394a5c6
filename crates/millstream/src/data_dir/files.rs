//! Small file operations that are durable and private, with errors that name the file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::DataDirError;

/// Names an operation and its file around an I/O error.
pub(crate) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::FileSystem { operation, path, source }
}

/// Options that open for writing; a file that they create is for its owner only.
pub(crate) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Creates a folder, and those above it, for its owner only; one that is there is left as it is.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), DataDirError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("creating the folder", path))
}

/// The text of a file; none when it is not there.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<String>, DataDirError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("reading", path)(source)),
    }
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), DataDirError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(failed("removing", path)(source)),
    }
}

/// Puts a text in the place of a file (mode 0600): a reader sees the old text or the new one, also after a crash.
pub(crate) fn write_atomically(path: &Path, text: &str) -> Result<(), DataDirError> {
    let staged = path.with_extension("new");
    // What a killed process left behind may have any mode.
    remove_if_there(&staged)?;
    let mut file = private_file().create_new(true).open(&staged).map_err(failed("creating", &staged))?;
    file.write_all(text.as_bytes()).map_err(failed("writing", &staged))?;
    file.sync_all().map_err(failed("syncing", &staged))?;
    std::fs::rename(&staged, path).map_err(failed("replacing", path))?;
    if let Some(parent) = path.parent() {
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed("syncing", parent))?;
    }
    Ok(())
}
