//! Tasks: every one has a name, is joined, and its result is read. Nothing is spawned elsewhere.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinError;

use crate::archive::run::ArchiverError;
use crate::receive::ReceiveError;
use crate::source::SourceError;
use crate::stream::publish::PublishError;

/// Why a task ended badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// Finding or planning files.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Publishing.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Receiving.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
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
    work: Arc<Handle>,
}

/// A spawner whose tasks run on `work` when they compute and on the current runtime when they wait.
pub(crate) fn tasks(work: Handle) -> (Tasks, mpsc::Receiver<TaskEnd>) {
    let (ends, receiver) = mpsc::channel(64);
    (Tasks { ends, work: Arc::new(work) }, receiver)
}

impl Tasks {
    /// Spawns a task that mostly waits.
    pub(crate) fn spawn<E>(&self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        TaskError: From<E>,
        E: Send + 'static,
    {
        self.spawn_on(&Handle::current(), name, task);
    }

    /// Spawns a task that computes, on the runtime for work.
    pub(crate) fn spawn_work<E>(&self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static)
    where
        TaskError: From<E>,
        E: Send + 'static,
    {
        self.spawn_on(&self.work, name, task);
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
