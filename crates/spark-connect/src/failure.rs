//! From the status of a call to what to do next.

use std::error::Error as _;
use std::time::Duration;

use prost::Message as _;
use tonic::{Code, Status};

use crate::error::Error;
use crate::proto::status as proto;

/// What a failed call means.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection broke or the server is away: ask again, after this time at least.
    Passing { message: String, pause: Duration },
    /// The server does not know the operation.
    NoOperation { message: String },
    /// The server has the operation already.
    OperationExists { message: String },
    /// Asking again does not help. With the key under which the server tells more, if it has more.
    Final { error: Error, error_id: Option<String> },
}

impl Failure {
    /// Reads a status. `endpoint` is named in messages.
    pub(crate) fn read(status: &Status, endpoint: &str) -> Self {
        let details = Details::read(status);
        let message = if details.message.is_empty() { chain(status) } else { details.message };
        if let Some(pause) = details.pause {
            return Self::Passing { message, pause };
        }
        let class = details.class.or_else(|| class_in(&message));
        if let Some(class) = class {
            return Self::of_class(class, details.sql_state, message, details.error_id);
        }
        let last = |error| Self::Final { error, error_id: None };
        let endpoint = endpoint.to_owned();
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => last(Error::Refused { message }),
            _ if message.contains("invalid peer certificate") => last(Error::Untrusted { endpoint, message }),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Aborted
                if details.error_id.is_none() =>
            {
                Self::Passing { message, pause: Duration::ZERO }
            }
            _ if is_of_the_connection(status) => Self::Passing { message, pause: Duration::ZERO },
            Code::Unimplemented => {
                let message = format!("{message}; is {endpoint} a server of Spark Connect, 4.0 or later?");
                last(Error::Protocol { message })
            }
            Code::OutOfRange => last(Error::Protocol { message }),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::InvalidArgument
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => {
                let error = Error::Query { class: None, sql_state: details.sql_state, message };
                Self::Final { error, error_id: details.error_id }
            }
        }
    }

    fn of_class(class: String, sql_state: Option<String>, message: String, error_id: Option<String>) -> Self {
        let last = |error| Self::Final { error, error_id: None };
        match class.as_str() {
            "INVALID_CURSOR.DISCONNECTED" => Self::Passing { message, pause: Duration::ZERO },
            "INVALID_HANDLE.OPERATION_NOT_FOUND" => Self::NoOperation { message },
            "INVALID_HANDLE.OPERATION_ALREADY_EXISTS" => Self::OperationExists { message },
            "OPERATION_CANCELED" => last(Error::Interrupted { message }),
            _ if class.starts_with("INVALID_HANDLE.SESSION_") => last(Error::SessionLost { message }),
            _ if class.starts_with("INVALID_CURSOR") || class.starts_with("INVALID_HANDLE.OPERATION_") => {
                last(Error::Lost { message })
            }
            _ => Self::Final { error: Error::Query { class: Some(class), sql_state, message }, error_id },
        }
    }
}

/// What comes along with a status.
#[derive(Default)]
struct Details {
    message: String,
    class: Option<String>,
    sql_state: Option<String>,
    error_id: Option<String>,
    pause: Option<Duration>,
}

impl Details {
    fn read(status: &Status) -> Self {
        let Ok(whole) = proto::Status::decode(status.details()) else { return Self::default() };
        let mut details = Self { message: whole.message, ..Self::default() };
        for detail in whole.details {
            match detail.type_url.rsplit('/').next() {
                Some("google.rpc.ErrorInfo") => {
                    let Ok(info) = proto::ErrorInfo::decode(detail.value.as_slice()) else { continue };
                    let of = |name: &str| info.metadata.get(name).filter(|text| !text.is_empty()).cloned();
                    details.class = of("errorClass");
                    details.sql_state = of("sqlState");
                    details.error_id = of("errorId");
                }
                Some("google.rpc.RetryInfo") => {
                    let pause = proto::RetryInfo::decode(detail.value.as_slice()).ok().and_then(|info| info.delay);
                    let seconds = pause.map_or(0, |pause| u64::try_from(pause.seconds).unwrap_or(0));
                    details.pause = Some(Duration::from_secs(seconds));
                }
                _ => {}
            }
        }
        details
    }
}

/// Spark begins its messages with the class in brackets.
fn class_in(message: &str) -> Option<String> {
    let (class, _) = message.strip_prefix('[')?.split_once(']')?;
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
    (!class.is_empty() && class.bytes().all(fits)).then(|| class.to_owned())
}

/// Whether it was made on our side because the connection broke, not said by the server.
fn is_of_the_connection(status: &Status) -> bool {
    let message = status.message();
    status.source().is_some()
        || message.starts_with("h2 protocol error")
        || message.starts_with("protocol error: missing grpc-status")
        || message.starts_with("Unexpected EOF")
        || message.starts_with("grpc-status header missing")
}

/// A status and what caused it, in one line.
fn chain(status: &Status) -> String {
    let mut text = if status.message().is_empty() { status.code().description() } else { status.message() }.to_owned();
    let mut source = status.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
