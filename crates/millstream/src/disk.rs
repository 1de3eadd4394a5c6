//! Room on the disks that are written to: a full disk is a condition that passes, so it is noticed before it does harm and waited
//! out.

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::chain::{chain, with_causes};

/// Room that appends to the embedded log leave free: what is in its memory must still fit, and the archive must be able to take
/// rows over, which is what makes room in the log. The archive takes as many as there is room for, so the two never wait for each other
/// while there is room for its reserve and one record.
pub(crate) const LOG_RESERVE_BYTES: u64 = 64 << 20;

/// Room that the archive leaves free.
pub(crate) const ARCHIVE_RESERVE_BYTES: u64 = 16 << 20;

/// Room without which nothing is removed from the embedded log, either: removing writes, too.
pub(crate) const TRIM_RESERVE_BYTES: u64 = 4 << 20;

/// Room that keys of dedup leave free, which a start makes anew: less than appends do, so that the log waits for room before dedup does.
pub(crate) const SCRATCH_RESERVE_BYTES: u64 = 16 << 20;

/// What the system says when a disk or a quota is full: `ENOSPC`, and `EDQUOT` of Linux and of macOS.
const CODES: [i32; 3] = [28, 122, 69];

/// There is too little room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// Less is free than is needed.
    #[error(
        "the disk of `{}` is full: {} MiB are free and {} MiB are needed; make room there, and it goes on by itself",
        .path.display(), .free >> 20, .needed.div_ceil(1 << 20)
    )]
    Room { path: PathBuf, free: u64, needed: u64 },
    /// The system takes no more, whatever it tells of free room.
    #[error(
        "the disk of `{}` takes no more: it is full, or a quota is used up; make room there, and it goes on by itself",
        .path.display()
    )]
    Refused { path: PathBuf },
}

/// Bytes that are free on the disk of an existing path, where the system tells.
pub(crate) fn free(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether `needed` bytes fit on the disk of an existing path. Where the system does not tell, they do.
pub(crate) fn check(path: &Path, needed: u64) -> Result<(), Full> {
    match free(path) {
        Some(free) if free < needed => Err(Full::Room { path: path.to_owned(), free, needed }),
        Some(_) | None => Ok(()),
    }
}

/// What is full, where an error tells it.
pub(crate) fn full_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Full> {
    with_causes(error).find_map(|error| error.downcast_ref())
}

/// Whether the cause of an error is that a disk is full.
pub(crate) fn is_full(error: &(dyn Error + 'static)) -> bool {
    for error in with_causes(error) {
        if error.is::<Full>() {
            return true;
        }
        if let Some(code) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
            return CODES.contains(&code);
        }
    }
    // Some libraries keep only the text of what the system said.
    let text = chain(error);
    CODES.iter().any(|code| text.contains(&format!("(os error {code})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_full_disk_is_known_however_deep_it_is_told() {
        assert!(is_full(&Outer(std::io::Error::from_raw_os_error(28))));
        assert!(!is_full(&Outer(std::io::Error::from_raw_os_error(2))));
        assert!(is_full(&Outer(std::io::Error::other("writing: No space left on device (os error 28)"))));
        assert!(is_full(&check(Path::new("/"), u64::MAX).unwrap_err()));
    }

    #[test]
    fn the_message_names_the_path_and_the_way_out() {
        let full = Full::Room { path: PathBuf::from("/lake"), free: 3 << 20, needed: (16 << 20) + 1 };
        let text = "the disk of `/lake` is full: 3 MiB are free and 17 MiB are needed; make room there, and it goes on by itself";
        assert_eq!(full.to_string(), text);
    }

    #[test]
    fn where_the_system_does_not_tell_there_is_room() {
        assert_eq!(check(Path::new("/there/is/no/such/path"), u64::MAX), Ok(()));
    }
}
