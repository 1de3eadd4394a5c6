//! Tasks: every one has a name, is joined, and its result is read. Nothing is spawned elsewhere.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::archive::ArchiveError;
use crate::archive::run::ArchiverError;
use crate::pipeline::PipelineError;
use crate::receive::ReceiveError;
use crate::source::SourceError;
use crate::stream::LogError;
use crate::stream::publish::PublishError;

/// Why a task ended badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// A stage could not start from what is durable.
    #[error(transparent)]
    Start(PipelineError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Finding or planning files.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Publishing.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Receiving.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// Following the archive.
    #[error(transparent)]
    Follow(#[from] ArchiveError),
    /// Archiving.
    #[error(transparent)]
    Archive(#[from] ArchiverError),
    /// The task panicked: a defect of the program.
    #[error("the task `{name}` ended by a panic, which is a defect of millstream")]
    Panicked {
        /// Its name.
        name: &'static str,
        /// What it said.
        source: JoinError,
    },
}

impl TaskError {
    /// Whether this only tells that another stage ended first.
    pub(crate) fn is_consequence(&self) -> bool {
        matches!(self, Self::Source(SourceError::Closed))
    }

    /// Whether the user can put it right before the next start.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Source(SourceError::Nothing { .. }) => true,
            Self::Log(error) | Self::Receive(ReceiveError::Log(error)) => error.is_refusal(),
            Self::Publish(PublishError::Append(interrupted)) => interrupted.source.is_refusal(),
            Self::Start(_)
            | Self::Source(_)
            | Self::Publish(_)
            | Self::Receive(_)
            | Self::Follow(_)
            | Self::Archive(_)
            | Self::Panicked { .. } => false,
        }
    }
}

/// How a task ended.
#[derive(Debug)]
pub(crate) struct TaskEnd {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its result.
    pub(crate) result: Result<(), TaskError>,
}

/// Spawns tasks; cheap to clone. When the last clone is gone and every task ended, the channel of ends closes.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    ends: mpsc::Sender<TaskEnd>,
    waits: Arc<Handle>,
    work: Arc<Handle>,
}

/// A task of a task.
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    task: Option<JoinHandle<Result<(), TaskError>>>,
}

impl Child {
    /// Whether its end was told.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_none()
    }

    /// How it ended. Cancel safe. To be asked until it was told, not again.
    pub(crate) async fn ended(&mut self) -> Result<(), TaskError> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let ended = task.await;
        self.task = None;
        ended.unwrap_or_else(|source| Err(TaskError::Panicked { name: self.name, source }))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A spawner whose tasks run on `work` when they compute and on the current runtime when they wait.
pub(crate) fn tasks(work: Handle) -> (Tasks, mpsc::Receiver<TaskEnd>) {
    let (ends, receiver) = mpsc::channel(64);
    (Tasks { ends, waits: Arc::new(Handle::current()), work: Arc::new(work) }, receiver)
}

impl Tasks {
    /// Spawns a task that mostly waits.
    pub(crate) fn spawn<E>(&self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        TaskError: From<E>,
        E: Send + 'static,
    {
        self.spawn_on(&self.waits, name, task);
    }

    /// Spawns a task that computes, on the runtime for work.
    pub(crate) fn spawn_work<E>(&self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        TaskError: From<E>,
        E: Send + 'static,
    {
        self.spawn_on(&self.work, name, task);
    }

    /// Runs what blocks on a thread of its own.
    #[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
    pub(crate) fn spawn_blocking<E>(&self, name: &'static str, task: impl FnOnce() -> Result<(), E> + Send + 'static)
    where
        TaskError: From<E>,
        E: Send + 'static,
    {
        let blocking = self.waits.spawn_blocking(task);
        self.spawn::<TaskError>(name, async move {
            let ended = blocking.await.map_err(|source| TaskError::Panicked { name, source })?;
            ended.map_err(TaskError::from)
        });
    }

    /// Spawns a task that mostly waits, for a task that joins it. It is aborted when the handle is dropped.
    #[allow(clippy::disallowed_methods, reason = "joined by its handle")]
    pub(crate) fn child<E>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Child
    where
        TaskError: From<E>,
        E: Send + 'static,
    {
        let task = self.waits.spawn(async move { task.await.map_err(TaskError::from) });
        Child { name, task: Some(task) }
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
    fn spawn_on<E>(&self, on: &Handle, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        TaskError: From<E>,
        E: Send + 'static,
    {
        let ends = self.ends.clone();
        let task = on.spawn(task);
        on.spawn(async move {
            let result = match task.await {
                Ok(result) => result.map_err(TaskError::from),
                Err(source) => Err(TaskError::Panicked { name, source }),
            };
            // Nobody listens only when the supervisor itself is gone.
            let _ = ends.send(TaskEnd { name, result }).await;
        });
    }
}
