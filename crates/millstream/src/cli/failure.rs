//! How a command ends when it does not end well.

use std::error::Error;

use crate::chain::chain;
use crate::data_dir::DataDirError;
use crate::pipeline::PipelineError;
use crate::server::ServerError;
use crate::source::SourceError;
use crate::users::UsersError;
use crate::users::secrets::HashError;
use crate::view::QueryError;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(super) enum Failure {
    /// Exit code 2: the user can put it right.
    Refused(String),
    /// Exit code 1: something went wrong on the way.
    Failed(String),
    /// Exit code 130: a second signal.
    Aborted,
    /// Exit code 0: nobody reads our output any more.
    NobodyReads,
    /// Exit code 0: told to stop before anything was under way.
    Stopped,
}

impl Failure {
    /// Something of ours or of the system's went wrong.
    pub(super) fn failed(error: &dyn Error) -> Self {
        Self::Failed(chain(error))
    }

    /// The code that the process ends with.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 2,
            Self::Failed(_) => 1,
            Self::Aborted => 130,
            Self::NobodyReads | Self::Stopped => 0,
        }
    }

    /// What is printed.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Refused(text) | Self::Failed(text) => Some(text),
            Self::Aborted => Some("aborted; nothing is lost: the next run goes on from what is durable"),
            Self::NobodyReads => None,
            Self::Stopped => Some("told to stop before it had started"),
        }
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        let text = chain(&error);
        match error {
            DataDirError::InUse { .. }
            | DataDirError::NewerFormat { .. }
            | DataDirError::OtherPipeline { .. }
            | DataDirError::Changed { .. }
            | DataDirError::Damaged { .. }
            | DataDirError::NotOurs { .. } => Self::Refused(text),
            DataDirError::FileSystem { .. } => Self::Failed(text),
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let text = chain(&error);
        match error {
            ServerError::Bind { .. } | ServerError::Users(_) | ServerError::Nobody { .. } => Self::Refused(text),
            ServerError::Socket { .. } => Self::Failed(text),
        }
    }
}

impl From<UsersError> for Failure {
    fn from(error: UsersError) -> Self {
        match error {
            UsersError::File(error) => error.into(),
            UsersError::Hash(HashError::Failed(_)) => Self::failed(&error),
            UsersError::Damaged { .. }
            | UsersError::OpenToOthers { .. }
            | UsersError::Key { .. }
            | UsersError::Exists { .. }
            | UsersError::Unknown { .. }
            | UsersError::UnknownToken { .. }
            | UsersError::Name { .. }
            | UsersError::TooMany { .. }
            | UsersError::Hash(HashError::Short | HashError::Long) => Self::Refused(chain(&error)),
        }
    }
}

impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        let text = chain(&error);
        match error {
            PipelineError::Refused(_) => Self::Refused(text),
            PipelineError::Failed(_) => Self::Failed(text),
            PipelineError::Stopped => Self::Stopped,
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let text = chain(&error);
        match error {
            SourceError::Pattern { .. } | SourceError::Path { .. } | SourceError::Nothing { .. } => Self::Refused(text),
            SourceError::List { .. }
            | SourceError::Store(_)
            | SourceError::Read { .. }
            | SourceError::Refused { .. }
            | SourceError::Changed { .. }
            | SourceError::Closed
            | SourceError::Stop { .. } => Self::Failed(text),
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let text = chain(&error);
        match error {
            QueryError::Refused { .. } => Self::Refused(text),
            QueryError::TimedOut(_)
            | QueryError::TooLarge(_)
            | QueryError::TooLong(_)
            | QueryError::NoRoom(_)
            | QueryError::Stopping
            | QueryError::Failed(_) => Self::Failed(text),
        }
    }
}
