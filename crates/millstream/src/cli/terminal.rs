//! Standard error: log lines, progress and what is said to a person, without running into each other.

use std::io::{IsTerminal, Write};

use indicatif::{MultiProgress, ProgressBar};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::LogFormat;
use super::failure::Failure;

/// What is logged at most of the libraries that we stand on, unless the user asks for debug or a filter.
const LIBRARIES: tracing::Level = tracing::Level::WARN;

/// Standard error, with or without a progress bar at its end.
#[derive(Debug, Clone)]
pub(super) struct Terminal {
    bars: MultiProgress,
    is_terminal: bool,
}

impl Terminal {
    /// The process's own.
    pub(super) fn new() -> Self {
        Self { bars: MultiProgress::new(), is_terminal: std::io::stderr().is_terminal() }
    }

    /// Whether a person looks at it.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Adds a bar at the end.
    pub(super) fn add(&self, bar: ProgressBar) -> ProgressBar {
        self.bars.add(bar)
    }

    /// Writes a line above the bar.
    pub(super) fn say(&self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    /// There is nobody to tell when standard error is closed.
    fn write(&self, bytes: &[u8]) {
        self.bars.suspend(|| {
            let _ = std::io::stderr().lock().write_all(bytes);
        });
    }
}

/// Writes log lines above the bar.
impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Self::write(self, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Terminal {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Starts the log on standard error.
pub(super) fn start_log(terminal: &Terminal, format: LogFormat, level: &str) -> Result<(), Failure> {
    let directives = match level.parse::<tracing::Level>() {
        Ok(level) if level <= tracing::Level::INFO => {
            format!("{},millstream={level},millstream_core={level}", level.min(LIBRARIES))
        }
        Ok(_) | Err(_) => level.to_owned(),
    };
    let filter = EnvFilter::builder().parse(&directives).map_err(|error| {
        Failure::Refused(format!(
            "`--log-level {level}` is neither error, warn, info, debug, trace nor a filter such as `millstream=debug`: {error}"
        ))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(terminal.clone());
    let started = match format {
        LogFormat::Text => log.with_ansi(terminal.is_terminal).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    started.map_err(|error| Failure::Failed(format!("starting the log: {error}")))
}
