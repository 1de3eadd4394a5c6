//! A session on a server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tonic::Status;
use tracing::debug;
use uuid::Uuid;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::execution::Execution;
use crate::failure::Failure;
use crate::options::Options;
use crate::pause::Pauses;
use crate::plan::Plan;
use crate::proto::literal::Empty;
use crate::proto::service as proto;
use crate::wire::{Client, Wire};

/// A session: settings, and the operations that run under them. Clones are the same session, and share one connection.
///
/// The end of the last clone does not end the session on the server, which does that by itself after a time (an hour, by default):
/// [`release`](Self::release) ends it at once.
#[derive(Debug, Clone)]
pub struct Session {
    client: Client,
    identity: Arc<Identity>,
    options: Options,
    spark_version: Arc<str>,
}

/// Who speaks, in which session, to which server.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) endpoint: String,
    pub(crate) session_id: String,
    pub(crate) user_id: String,
    pub(crate) client_type: String,
    /// How the server calls its side of the session. One that was started anew calls it otherwise.
    pub(crate) server_session_id: OnceLock<String>,
}

impl Session {
    /// Connects, and makes a session with an id of its own (unless the connection string names one). The server has answered when this returns.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses the token, or is no server of Spark Connect.
    pub async fn connect(endpoint: &Endpoint, options: &Options) -> Result<Self, Error> {
        let client = Client::new(endpoint, options).await?;
        let client_type =
            format!("{} spark-connect/{}", endpoint.user_agent().unwrap_or("rust"), env!("CARGO_PKG_VERSION"));
        let identity = Arc::new(Identity {
            endpoint: endpoint.to_string(),
            session_id: endpoint.session_id().unwrap_or_else(Uuid::new_v4).to_string(),
            user_id: endpoint.user_id().unwrap_or("spark-connect").to_owned(),
            client_type,
            server_session_id: OnceLock::new(),
        });
        let mut session = Self { client, identity, options: options.clone(), spark_version: "".into() };
        session.spark_version = session.ask_version().await?.into();
        Ok(session)
    }

    /// The version of the server, as `4.3.0`.
    #[must_use]
    pub fn spark_version(&self) -> &str {
        &self.spark_version
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.identity.session_id
    }

    /// Settings of the session, for what is executed from now on.
    ///
    /// # Errors
    /// When the server does not know a setting or its value, or cannot be reached.
    pub async fn set(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let pair =
            |(key, value): &(&str, &str)| proto::KeyValue { key: (*key).to_owned(), value: Some((*value).to_owned()) };
        let set = proto::SetConfig { pairs: settings.iter().map(pair).collect() };
        let answer = self
            .retrying(|| {
                self.client.config(proto::ConfigRequest {
                    session_id: self.identity.session_id.clone(),
                    user_context: Some(self.identity.user()),
                    operation: Some(proto::ConfigOperation { set: Some(set.clone()) }),
                    client_type: Some(self.identity.client_type.clone()),
                    observed_server_session_id: self.identity.observed(),
                })
            })
            .await?;
        for warning in answer.warnings {
            debug!(warning, "the server warns of a setting");
        }
        self.identity.check(&answer.session_id, &answer.server_session_id)
    }

    /// An execution of the plan. Nothing is sent before its first [`next`](Execution::next).
    #[must_use]
    pub fn execute(&self, plan: Plan) -> Execution {
        Execution::new(Arc::new(self.client.clone()), Arc::clone(&self.identity), &self.options, plan.0)
    }

    /// Interrupts whatever the session executes.
    ///
    /// # Errors
    /// When the server cannot be reached or does not know the session.
    pub async fn interrupt_all(&self) -> Result<(), Error> {
        self.retrying(|| self.client.interrupt(self.identity.interrupt(None))).await
    }

    /// Ends the session on the server, and what it executes.
    ///
    /// # Errors
    /// When the server cannot be reached. The server ends it by itself then, later.
    pub async fn release(self) -> Result<(), Error> {
        self.release_session(&self.identity.session_id).await
    }

    /// Ends another session of the same user on the server, and what it executes, such as one whose client died. One that the server
    /// does not know is no error.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn release_other(&self, session_id: &str) -> Result<(), Error> {
        self.release_session(session_id).await
    }

    async fn release_session(&self, session_id: &str) -> Result<(), Error> {
        self.retrying(|| {
            self.client.release_session(proto::ReleaseSessionRequest {
                session_id: session_id.to_owned(),
                user_context: Some(self.identity.user()),
                client_type: Some(self.identity.client_type.clone()),
            })
        })
        .await
    }

    async fn ask_version(&self) -> Result<String, Error> {
        let answer = self
            .retrying(|| {
                self.client.analyze(proto::AnalyzePlanRequest {
                    session_id: self.identity.session_id.clone(),
                    user_context: Some(self.identity.user()),
                    client_type: Some(self.identity.client_type.clone()),
                    spark_version: Some(Empty {}),
                    observed_server_session_id: self.identity.observed(),
                })
            })
            .await?;
        self.identity.check(&answer.session_id, &answer.server_session_id)?;
        let missing = || Error::Protocol { message: "the server does not tell its version".to_owned() };
        answer.spark_version.map(|version| version.version).ok_or_else(missing)
    }

    /// Makes a call that does no harm when it is made twice, until it goes well or there were enough tries.
    async fn retrying<T, F: Future<Output = Result<T, Status>>>(&self, call: impl Fn() -> F) -> Result<T, Error> {
        let mut pauses = Pauses::new(&self.options);
        loop {
            let status = match call().await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            match Failure::read(&status, &self.identity.endpoint) {
                Failure::Passing { message, pause } => self.identity.rest(&mut pauses, message, pause).await?,
                Failure::Final { error, error_id } => {
                    return Err(self.identity.enrich(&self.client, error, error_id).await);
                }
                Failure::NoOperation { message } | Failure::OperationExists { message } => {
                    return Err(Error::Protocol { message });
                }
            }
        }
    }
}

impl Identity {
    pub(crate) fn user(&self) -> proto::UserContext {
        proto::UserContext { user_id: self.user_id.clone(), user_name: self.user_id.clone() }
    }

    pub(crate) fn observed(&self) -> Option<String> {
        self.server_session_id.get().cloned()
    }

    /// Interrupts one operation, or all.
    pub(crate) fn interrupt(&self, operation_id: Option<String>) -> proto::InterruptRequest {
        proto::InterruptRequest {
            session_id: self.session_id.clone(),
            user_context: Some(self.user()),
            client_type: Some(self.client_type.clone()),
            kind: if operation_id.is_some() { 3 } else { 1 },
            operation_id,
            observed_server_session_id: self.observed(),
        }
    }

    /// Whether an answer is for this session, and from the server that it began with.
    pub(crate) fn check(&self, session_id: &str, server_session_id: &str) -> Result<(), Error> {
        if session_id != self.session_id {
            let message = format!("an answer for session `{session_id}` came to session `{}`", self.session_id);
            return Err(Error::Protocol { message });
        }
        let known = self.server_session_id.get_or_init(|| server_session_id.to_owned());
        if known == server_session_id {
            return Ok(());
        }
        Err(Error::SessionLost {
            message: "the server has another session under its id: it was started anew".to_owned(),
        })
    }

    /// Rests before the next try, or says that there were enough.
    pub(crate) async fn rest(&self, pauses: &mut Pauses, message: String, at_least: Duration) -> Result<(), Error> {
        let Some(pause) = pauses.next(at_least) else {
            return Err(Error::Unreachable { endpoint: self.endpoint.clone(), message });
        };
        debug!(endpoint = self.endpoint, pause_ms = pause.as_millis(), cause = message, "asking the server again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Adds to an error what the server tells of it when it is asked. If it does not, the error is as good as it was.
    pub(crate) async fn enrich(&self, wire: &dyn Wire, error: Error, error_id: Option<String>) -> Error {
        let Some(error_id) = error_id else { return error };
        let request = proto::FetchErrorDetailsRequest {
            session_id: self.session_id.clone(),
            user_context: Some(self.user()),
            error_id,
            client_type: Some(self.client_type.clone()),
            observed_server_session_id: self.observed(),
        };
        match wire.details(request).await {
            Ok(details) => error.with_details(details.root_error, &details.errors),
            Err(status) => {
                debug!(message = status.message(), "the server does not tell more of an error");
                error
            }
        }
    }
}
