//! The responses of an operation, each once and none left out, over as many streams as it takes.
//!
//! A server ends a stream of responses when it has become long or large, whether or not there is more. The end of an operation is a message
//! of its own. Anything else means: ask for what follows the last response that came.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use tracing::debug;
use uuid::Uuid;

use crate::error::Error;
use crate::failure::Failure;
use crate::options::Options;
use crate::pause::Pauses;
use crate::proto::literal::Empty;
use crate::proto::relation::Plan;
use crate::proto::service as proto;
use crate::session::Identity;
use crate::wire::{Open, Responses, Wire};

/// How long to rest when the server ends a stream in which nothing came. It is there, so this is not counted as a failure.
const IDLE_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Operation {
    wire: Arc<dyn Wire>,
    identity: Arc<Identity>,
    pauses: Pauses,
    id: String,
    plan: Plan,
    state: State,
    /// The server may know the operation, so that it is asked to go on rather than to begin.
    begun: bool,
    stream: Option<Stream>,
    last_response_id: Option<String>,
    /// Up to where the server was asked to forget responses.
    released_id: Option<String>,
    releasing: Option<BoxFuture<'static, ()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Complete,
    Failed,
}

struct Stream {
    responses: Responses,
    is_empty: bool,
}

impl Operation {
    pub(super) fn new(wire: Arc<dyn Wire>, identity: Arc<Identity>, options: &Options, plan: Plan) -> Self {
        Self {
            wire,
            identity,
            pauses: Pauses::new(options),
            id: Uuid::new_v4().to_string(),
            plan,
            state: State::Running,
            begun: false,
            stream: None,
            last_response_id: None,
            released_id: None,
            releasing: None,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The next response; `None` behind the one that says that the result is complete. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Option<proto::ExecutePlanResponse>, Error> {
        while self.state == State::Running {
            match self.step().await {
                Ok(Some(response)) => {
                    self.pauses.reset();
                    if let Err(error) = self.note(&response) {
                        return Err(self.fail(error));
                    }
                    return Ok(Some(response));
                }
                Ok(None) => {
                    let idle = self.stream.take().is_none_or(|stream| stream.is_empty);
                    debug!(operation = self.id, "the server ended a stream, asking for the next");
                    if idle {
                        tokio::time::sleep(IDLE_PAUSE).await;
                    }
                }
                Err(failure) => {
                    self.stream = None;
                    self.mend(failure).await?;
                }
            }
        }
        release_goes_on(&mut self.releasing).await;
        match self.state {
            State::Running | State::Complete => Ok(None),
            State::Failed => Err(Error::Lost { message: "the query has failed before".to_owned() }),
        }
    }

    /// Interrupts the operation, if it may have begun and has not ended, and lets the server forget it.
    pub(super) async fn cancel(mut self) {
        // The server sees its stream end first, so that it does not send on.
        self.stream = None;
        if !self.begun || self.state == State::Complete {
            release_goes_on(&mut self.releasing).await;
            return;
        }
        if self.state == State::Running
            && let Err(status) = self.wire.interrupt(self.identity.interrupt(Some(self.id.clone()))).await
        {
            debug!(operation = self.id, message = status.message(), "could not interrupt the query");
            return;
        }
        self.release(proto::Release::All(Empty {})).await;
    }

    /// Waits for the next response of the stream, which is opened if there is none. Meanwhile the server is told what it may forget.
    async fn step(&mut self) -> Result<Option<proto::ExecutePlanResponse>, Failure> {
        if self.stream.is_none() {
            let open = if self.begun { Open::Reattach(self.reattach()) } else { Open::Execute(self.execute()) };
            // From here on the server may have it, even if this call is given up or fails.
            self.begun = true;
            let opened = self.wire.open(open).await;
            let responses = opened.map_err(|status| Failure::read(&status, &self.identity.endpoint))?;
            self.stream = Some(Stream { responses, is_empty: true });
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        loop {
            if self.releasing.is_none() && self.released_id != self.last_response_id {
                self.released_id.clone_from(&self.last_response_id);
                let response_id = self.last_response_id.clone().unwrap_or_default();
                let until = proto::Release::Until(proto::ReleaseUntil { response_id });
                self.releasing = Some(release(&self.wire, &self.identity, &self.id, until));
            }
            tokio::select! {
                // First, so that it is not starved by responses that are always there.
                biased;
                () = release_goes_on(&mut self.releasing), if self.releasing.is_some() => {}
                response = stream.responses.next() => {
                    stream.is_empty &= response.is_none();
                    return response.transpose().map_err(|status| Failure::read(&status, &self.identity.endpoint));
                }
            }
        }
    }

    /// Decides what follows a failure: rest and go on, or an error.
    async fn mend(&mut self, failure: Failure) -> Result<(), Error> {
        let (message, pause) = match failure {
            Failure::Passing { message, pause } => (message, pause),
            Failure::OperationExists { message } => (message, Duration::ZERO),
            // The request never arrived, so nothing was done.
            Failure::NoOperation { message } if self.last_response_id.is_none() => {
                self.begun = false;
                (message, Duration::ZERO)
            }
            Failure::NoOperation { message } => return Err(self.fail(Error::Lost { message })),
            Failure::Final { error, error_id } => {
                let error = self.identity.enrich(self.wire.as_ref(), error, error_id).await;
                let release = self.release(proto::Release::All(Empty {}));
                let error = self.fail(error);
                release.await;
                return Err(error);
            }
        };
        match self.identity.rest(&mut self.pauses, message, pause).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Takes note of a response: it is for us, and it is the last that came.
    fn note(&mut self, response: &proto::ExecutePlanResponse) -> Result<(), Error> {
        self.identity.check(&response.session_id, &response.server_session_id)?;
        if response.operation_id != self.id || response.response_id.is_empty() {
            let message = format!("a response of operation `{}` came to `{}`", response.operation_id, self.id);
            return Err(Error::Protocol { message });
        }
        self.last_response_id = Some(response.response_id.clone());
        if let Some(proto::ResponseKind::Complete(_)) = response.kind {
            self.state = State::Complete;
            self.stream = None;
            self.releasing = Some(self.release(proto::Release::All(Empty {})));
        }
        Ok(())
    }

    fn fail(&mut self, error: Error) -> Error {
        self.state = State::Failed;
        self.stream = None;
        self.releasing = None;
        error
    }

    fn release(&self, what: proto::Release) -> BoxFuture<'static, ()> {
        release(&self.wire, &self.identity, &self.id, what)
    }

    fn execute(&self) -> proto::ExecutePlanRequest {
        let reattach = Some(proto::ReattachOptions { reattachable: true });
        proto::ExecutePlanRequest {
            session_id: self.identity.session_id.clone(),
            user_context: Some(self.identity.user()),
            plan: Some(self.plan.clone()),
            client_type: Some(self.identity.client_type.clone()),
            request_options: vec![proto::RequestOption { reattach }],
            operation_id: Some(self.id.clone()),
            observed_server_session_id: self.identity.observed(),
        }
    }

    fn reattach(&self) -> proto::ReattachExecuteRequest {
        proto::ReattachExecuteRequest {
            session_id: self.identity.session_id.clone(),
            user_context: Some(self.identity.user()),
            operation_id: self.id.clone(),
            client_type: Some(self.identity.client_type.clone()),
            last_response_id: self.last_response_id.clone(),
            observed_server_session_id: self.identity.observed(),
        }
    }
}

/// Tells the server what it may forget. It forgets by itself later what it was not told about, so a failure does no harm.
fn release(
    wire: &Arc<dyn Wire>,
    identity: &Identity,
    operation_id: &str,
    what: proto::Release,
) -> BoxFuture<'static, ()> {
    let wire = Arc::clone(wire);
    let request = proto::ReleaseExecuteRequest {
        session_id: identity.session_id.clone(),
        user_context: Some(identity.user()),
        operation_id: operation_id.to_owned(),
        client_type: Some(identity.client_type.clone()),
        release: Some(what),
        observed_server_session_id: identity.observed(),
    };
    async move {
        if let Err(status) = wire.release(request).await {
            debug!(message = status.message(), "could not release responses");
        }
    }
    .boxed()
}

/// Waits until what is being released is. Cancel safe.
async fn release_goes_on(releasing: &mut Option<BoxFuture<'static, ()>>) {
    if let Some(future) = releasing {
        future.await;
        *releasing = None;
    }
}
