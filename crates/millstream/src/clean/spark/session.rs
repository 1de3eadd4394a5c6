//! The session with Spark: made when it is needed, shared by all queries, made anew when it was lost.

use std::fmt::Write as _;
use std::time::Duration;

use millstream_core::config::Spark;
use millstream_core::spark::query::SESSION;
use spark_connect::{Endpoint, Options, Session};
use tokio::sync::Mutex;
use tracing::{debug, info};

use super::SparkError;
use crate::secret::{self, Unreadable};

/// How often a call is tried again at once; longer troubles are waited out by whoever cleans.
const RETRIES: u32 = 3;

/// What a server says of queries under way when its Spark stops.
const STOPPED: [&str; 2] = ["stopped SparkContext", "SparkContext was shut down"];

/// How long the end of a run waits for it.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Sessions with one server, one at a time.
pub(super) struct Sessions {
    endpoint: Endpoint,
    options: Options,
    current: Mutex<Option<Session>>,
}

impl Sessions {
    /// Sessions with the server of the settings; nothing is connected yet.
    pub(super) fn new(settings: &Spark) -> Result<Self, SparkError> {
        let endpoint = endpoint(settings)?;
        if let Some(ca) = &settings.ca {
            let reason = |error: std::io::Error| format!("cannot read `{}`: {error}", ca.display());
            std::fs::File::open(ca).map_err(|error| SparkError::Setting { setting: "ca", reason: reason(error) })?;
        }
        let options = Options { ca_file: settings.ca.clone(), retries: RETRIES, ..Options::default() };
        Ok(Self { endpoint, options, current: Mutex::new(None) })
    }

    /// The session.
    pub(super) async fn get(&self) -> Result<Session, SparkError> {
        let mut current = self.current.lock().await;
        if let Some(session) = &*current {
            return Ok(session.clone());
        }
        let session =
            Session::connect(&self.endpoint, &self.options).await.map_err(|source| self.no_session(source))?;
        session.set(SESSION).await.map_err(|source| self.error(source))?;
        info!(server = %self.endpoint, spark = session.spark_version(), "connected to Spark");
        *current = Some(session.clone());
        Ok(session)
    }

    /// Makes the next one that asks get a new session.
    pub(super) async fn forget(&self) {
        *self.current.lock().await = None;
    }

    /// Lets the server forget the session, which it would keep in memory for an hour.
    pub(super) async fn close(&self) {
        let release = async {
            let current = self.current.lock().await.take();
            match current {
                Some(session) => session.release().await,
                None => Ok(()),
            }
        };
        let released = tokio::time::timeout(RELEASE_TIMEOUT, release).await;
        debug!(?released, "released the session with Spark");
    }

    /// A server whose Spark has stopped, for want of memory mostly, still takes calls.
    fn no_session(&self, source: spark_connect::Error) -> SparkError {
        if !matches!(&source, spark_connect::Error::Query { message, .. } if message.contains("assertion failed")) {
            return self.error(source);
        }
        let message = "the server is there, but its Spark has stopped: see its log, and start it anew".to_owned();
        self.error(spark_connect::Error::Unreachable { endpoint: self.endpoint.to_string(), message })
    }

    /// An error of the session.
    pub(super) fn error(&self, mut source: spark_connect::Error) -> SparkError {
        if let spark_connect::Error::Query { message, .. } = &mut source {
            // Where in Spark's own code it happened is in Spark's log.
            message.truncate(message.find("\n\tat ").unwrap_or(message.len()));
            if STOPPED.iter().any(|words| message.contains(words)) {
                source = spark_connect::Error::SessionLost { message: std::mem::take(message) };
            }
        }
        SparkError::Spark { endpoint: self.endpoint.to_string(), source }
    }
}

fn endpoint(settings: &Spark) -> Result<Endpoint, SparkError> {
    let setting = |setting| move |reason: String| SparkError::Setting { setting, reason };
    let mut text = settings.connect.reveal().to_owned();
    if let Some(token) = &settings.token {
        let token = secret::reveal(token)
            .map_err(|Unreadable { path, source }| setting("token_file")(format!("cannot read `{path}`: {source}")))?;
        let mut encoded = String::new();
        for byte in token.trim_end().bytes() {
            // A text takes all that is written to it.
            let _ = write!(encoded, "%{byte:02X}");
        }
        let divider = if text.splitn(4, '/').count() < 4 { "/;" } else { ";" };
        text = format!("{}{divider}token={encoded}", text.trim_end_matches(';'));
    }
    if text.contains("session_id=") {
        let reason = "leave `session_id` out: each run has a session of its own".to_owned();
        return Err(setting("connect")(reason));
    }
    Endpoint::parse(&text).map_err(|error| setting("connect")(error.to_string()))
}
