//! The session with Spark: made when it is needed, shared by all queries, made anew when it was lost.

use std::fmt::Write as _;
use std::time::Duration;

use millstream_core::config::Spark;
use millstream_core::spark::query::SESSION;
use millstream_core::status::MessageLevel;
use spark_connect::{Endpoint, Options, Session};
use tokio::sync::Mutex;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::error::SparkError;
use super::held::Held;
use super::version::{TRIED, Version};
use crate::secret::{self, Unreadable};
use crate::stream::kafka::Tell;

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
    tell: Tell,
    state: Mutex<State>,
}

struct State {
    current: Option<Session>,
    held: Held,
    /// Version that was warned of.
    warned: Option<String>,
}

impl Sessions {
    /// Sessions with the server of the settings; nothing is connected yet.
    pub(super) fn new(settings: &Spark, held: Held, tell: Tell) -> Result<Self, SparkError> {
        let (endpoint, options) = connection(settings)?;
        Ok(Self { endpoint, options, tell, state: Mutex::new(State { current: None, held, warned: None }) })
    }

    /// The session.
    pub(super) async fn get(&self) -> Result<Session, SparkError> {
        let mut state = self.state.lock().await;
        if let Some(session) = &state.current {
            return Ok(session.clone());
        }
        let session =
            Session::connect(&self.endpoint, &self.options).await.map_err(|source| self.no_session(source))?;
        self.check_version(&mut state, session.spark_version())?;
        session.set(SESSION).await.map_err(|source| self.error(source))?;
        info!(server = %self.endpoint, spark = session.spark_version(), "connected to Spark");
        let earlier = state.held.take_earlier();
        end_others(&session, &earlier, "ended the sessions that an earlier run had left").await;
        state.held.add(session.id());
        state.current = Some(session.clone());
        Ok(session)
    }

    /// Makes the next one that asks get a new session, unless there is a newer one than this already.
    pub(super) async fn forget(&self, id: &str) {
        let mut state = self.state.lock().await;
        if state.current.as_ref().is_some_and(|current| current.id() == id) {
            state.current = None;
        }
    }

    /// Lets the server forget the sessions, which it would keep in memory for an hour.
    pub(super) async fn close(&self) {
        let mut state = self.state.lock().await;
        let Some(session) = state.current.take() else { return };
        let others: Vec<_> = state.held.now().iter().filter(|id| id.to_string() != session.id()).copied().collect();
        end_others(&session, &others, "ended the sessions that had trouble").await;
        if matches!(tokio::time::timeout(RELEASE_TIMEOUT, session.release()).await, Ok(Ok(()))) {
            state.held.clear();
        }
    }

    fn check_version(&self, state: &mut State, told: &str) -> Result<(), SparkError> {
        match Version::of(told) {
            Version::Tried => Ok(()),
            Version::TooOld => {
                Err(SparkError::TooOld { endpoint: self.endpoint.to_string(), version: told.to_owned() })
            }
            Version::Untried if state.warned.as_deref() == Some(told) => Ok(()),
            Version::Untried => {
                warn!(server = %self.endpoint, spark = told, "this version of Spark was not tried");
                (self.tell)(
                    MessageLevel::Warn,
                    format!(
                        "Spark at {} is version {told}, and {TRIED} is what was tried: compare the engines by `millstream parity` first",
                        self.endpoint
                    ),
                );
                state.warned = Some(told.to_owned());
                Ok(())
            }
        }
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
                // Behind its first line it tells where Spark had been started.
                message.truncate(message.find('\n').unwrap_or(message.len()));
                source = spark_connect::Error::SessionLost { message: std::mem::take(message) };
            }
        }
        SparkError::Spark { endpoint: self.endpoint.to_string(), source }
    }
}

/// Ends sessions that nobody reads from any more, with what they execute.
async fn end_others(session: &Session, others: &[Uuid], text: &str) {
    if others.is_empty() {
        return;
    }
    let end = async {
        for id in others {
            session.release_other(&id.to_string()).await?;
        }
        Ok::<(), spark_connect::Error>(())
    };
    if let Ok(Ok(())) = tokio::time::timeout(RELEASE_TIMEOUT, end).await {
        info!(sessions = others.len(), "{text}");
    } else {
        // The server ends them by itself, later.
        debug!(sessions = others.len(), "sessions with Spark are left to the server");
    }
}

/// What is connected to, and how, if that can be used at all.
pub(super) fn connection(settings: &Spark) -> Result<(Endpoint, Options), SparkError> {
    let endpoint = endpoint(settings)?;
    if let Some(ca) = &settings.ca {
        let reason = |error: std::io::Error| format!("cannot read `{}`: {error}", ca.display());
        std::fs::File::open(ca).map_err(|error| SparkError::Setting { setting: "ca", reason: reason(error) })?;
    }
    let options = Options { ca_file: settings.ca.clone(), retries: RETRIES, ..Options::default() };
    Ok((endpoint, options))
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
