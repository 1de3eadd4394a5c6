//! What can go wrong, by what the caller can do about it.

use std::path::PathBuf;

use crate::proto::service::ErrorDetail;

/// Why a call to the server failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not let this user in: the token is wrong, missing, or has no right.
    #[error("the server refuses the login: {message}")]
    Refused {
        /// What the server said.
        message: String,
    },
    /// The server's certificate is not vouched for by whom we trust.
    #[error("the certificate of {endpoint} is not trusted: {message}")]
    Untrusted {
        /// The server.
        endpoint: String,
        /// What is wrong with it.
        message: String,
    },
    /// The server does not answer, also when asked again.
    #[error("{endpoint} does not answer: {message}")]
    Unreachable {
        /// The server.
        endpoint: String,
        /// What happened last.
        message: String,
    },
    /// The server does not know the session any more: it was started anew, or ended the session. A new session must be made and set up.
    #[error("the session was lost: {message}")]
    SessionLost {
        /// What the server said.
        message: String,
    },
    /// The server could not carry it out.
    #[error("{message}")]
    Query {
        /// Spark's name for the condition, as `PATH_NOT_FOUND`; of the error or of the first of its causes that has one.
        class: Option<String>,
        /// The state, as in SQL's standard.
        sql_state: Option<String>,
        /// What the server said, and the causes.
        message: String,
    },
    /// Somebody interrupted the operation, or the session was ended with it.
    #[error("the query was interrupted: {message}")]
    Interrupted {
        /// What the server said.
        message: String,
    },
    /// The server has a part of the result no more, or the operation is gone. It must be executed again from the start.
    #[error("the rest of the result was lost: {message}")]
    Lost {
        /// What the server said.
        message: String,
    },
    /// The server answered in a way that a server of Spark Connect does not, so what it sent cannot be trusted.
    #[error("unexpected answer of the server: {message}")]
    Protocol {
        /// What is wrong with the answer.
        message: String,
    },
    /// A batch cannot be read.
    #[error("cannot read a batch of rows")]
    Decode(#[source] arrow::error::ArrowError),
    /// The file of certificates cannot be read.
    #[error("cannot read certificates from {}", path.display())]
    ReadCertificates {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The connection cannot be set up from what was given.
    #[error("cannot set up the connection: {message}")]
    Setup {
        /// Why.
        message: String,
    },
}

impl Error {
    /// Whether the same may succeed later, in a new session and from the start. What depends on the query or the settings does not pass.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::SessionLost { .. } | Self::Lost { .. } => true,
            Self::Refused { .. }
            | Self::Untrusted { .. }
            | Self::Query { .. }
            | Self::Interrupted { .. }
            | Self::Protocol { .. }
            | Self::Decode(_)
            | Self::ReadCertificates { .. }
            | Self::Setup { .. } => false,
        }
    }

    /// Spark's name for the condition, as `PATH_NOT_FOUND`.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        if let Self::Query { class, .. } = self { class.as_deref() } else { None }
    }

    /// The same with all that the server knows of the error, which it was asked for.
    pub(crate) fn with_details(self, root: Option<i32>, errors: &[ErrorDetail]) -> Self {
        let Self::Query { mut class, mut sql_state, message } = self else { return self };
        let mut texts: Vec<String> = Vec::new();
        let mut next = root;
        // Each error is visited once at most, whatever the server says.
        for _ in 0..errors.len() {
            let Some(error) = next.and_then(|index| usize::try_from(index).ok()).and_then(|index| errors.get(index))
            else {
                break;
            };
            if let Some(throwable) = &error.throwable
                && class.is_none()
            {
                class.clone_from(&throwable.error_class);
                sql_state.clone_from(&throwable.sql_state);
            }
            if texts.iter().all(|text| !text.contains(&error.message)) {
                let kind = error.type_hierarchy.first().and_then(|name| name.rsplit('.').next()).unwrap_or("error");
                texts.push(if error.message.is_empty() { kind.to_owned() } else { error.message.clone() });
            }
            next = error.cause;
        }
        let message = if texts.is_empty() { message } else { texts.join("; caused by: ") };
        Self::Query { class, sql_state, message }
    }
}
