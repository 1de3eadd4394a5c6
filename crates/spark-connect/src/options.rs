//! How a client behaves.

use std::path::PathBuf;
use std::time::Duration;

/// How a session speaks to its server. `Options::default()` is meant to be good for most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long to wait for a connection. Default 10 s.
    pub connect_timeout: Duration,
    /// How long to wait for the answer to a call that is not a query. Default 60 s.
    pub call_timeout: Duration,
    /// How often in a row a call is tried again that failed because of the connection; 0 fails at once. Default 8, about 45 s in all.
    pub retries: u32,
    /// The longest pause between two tries; the first is 50 ms, each is up to four times the one before. Default 10 s.
    pub longest_pause: Duration,
    /// How often the connection is probed while something runs. Default 60 s; servers may hang up on clients that probe more often.
    pub keep_alive_interval: Duration,
    /// After how long without an answer to a probe the connection counts as broken. Default 20 s.
    pub keep_alive_timeout: Duration,
    /// How many bytes a query's responses may be ahead of its reader, besides the message that is being put together. Default 1 MiB.
    pub window_bytes: u32,
    /// The largest message that is taken or sent. Default 128 MiB, as servers have it.
    pub message_most_bytes: usize,
    /// A PEM file with the certificates to trust with TLS, instead of those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_mins(1),
            retries: 8,
            longest_pause: Duration::from_secs(10),
            keep_alive_interval: Duration::from_mins(1),
            keep_alive_timeout: Duration::from_secs(20),
            window_bytes: 1 << 20,
            message_most_bytes: 128 << 20,
            ca_file: None,
        }
    }
}
