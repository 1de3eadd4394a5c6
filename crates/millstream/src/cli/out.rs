//! Standard output: the one place that writes to it. A reader that goes away (`| head`) ends the command without noise.

use std::io::{ErrorKind, Write};

use super::failure::Failure;

/// Writes a line.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// Writes a text as it is.
pub(super) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::NobodyReads),
        Err(error) => Err(Failure::Failed(format!("writing to standard output: {error}"))),
    }
}
