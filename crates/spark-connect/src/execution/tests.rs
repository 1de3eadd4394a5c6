//! What the client does when streams end, break and lie. The server here is a script.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array};
use arrow::ipc::writer::StreamWriter;
use async_trait::async_trait;
use futures::StreamExt as _;
use tonic::{Code, Status};

use super::*;
use crate::proto::literal::{Empty, Literal, LiteralKind};
use crate::proto::service as proto;
use crate::wire::{Open, Responses};

/// One stream: what it yields before it ends or fails.
type Script = Vec<Result<proto::ExecutePlanResponse, Status>>;

/// Plays one script for each stream that is opened, and writes down what it was asked.
#[derive(Default)]
struct Fake {
    scripts: Mutex<VecDeque<Result<Script, Status>>>,
    asked: Mutex<Vec<String>>,
}

impl Fake {
    fn note(&self, text: String) {
        self.asked.lock().unwrap().push(text);
    }
}

#[async_trait]
impl Wire for Fake {
    async fn open(&self, open: Open) -> Result<Responses, Status> {
        self.note(match open {
            Open::Execute(_) => "execute".to_owned(),
            Open::Reattach(request) => format!("reattach {}", request.last_response_id.unwrap_or_default()),
        });
        let script = self.scripts.lock().unwrap().pop_front().expect("a stream more than the script has");
        Ok(futures::stream::iter(script?).boxed())
    }

    async fn release(&self, request: proto::ReleaseExecuteRequest) -> Result<(), Status> {
        self.note(match request.release {
            Some(proto::Release::Until(until)) => format!("release {}", until.response_id),
            _ => "release all".to_owned(),
        });
        Ok(())
    }

    async fn interrupt(&self, _: proto::InterruptRequest) -> Result<(), Status> {
        self.note("interrupt".to_owned());
        Ok(())
    }

    async fn details(&self, _: proto::FetchErrorDetailsRequest) -> Result<proto::FetchErrorDetailsResponse, Status> {
        Err(Status::unimplemented(""))
    }
}

/// An execution against scripts, and who plays them. `OP` in responses stands for the operation's id.
fn execution(scripts: Vec<Result<Script, Status>>) -> (Execution, Arc<Fake>) {
    let identity = Identity {
        endpoint: "sc://test:1".to_owned(),
        session_id: "session".to_owned(),
        user_id: "user".to_owned(),
        client_type: "test".to_owned(),
        server_session_id: OnceLock::new(),
    };
    let fake = Arc::new(Fake::default());
    let options = Options { retries: 3, longest_pause: Duration::from_millis(1), ..Options::default() };
    let plan = Plan { operation: None };
    let execution = Execution::new(Arc::clone(&fake) as Arc<dyn Wire>, Arc::new(identity), &options, plan);
    for script in scripts {
        let script = script.map(|responses| {
            let own = |response: proto::ExecutePlanResponse| {
                let operation_id = response.operation_id.replace("OP", execution.id());
                proto::ExecutePlanResponse { operation_id, ..response }
            };
            responses.into_iter().map(|response| response.map(own)).collect()
        });
        fake.scripts.lock().unwrap().push_back(script);
    }
    (execution, fake)
}

fn response(id: &str, kind: Option<ResponseKind>) -> proto::ExecutePlanResponse {
    proto::ExecutePlanResponse {
        session_id: "session".to_owned(),
        server_session_id: "server".to_owned(),
        operation_id: "OP".to_owned(),
        response_id: id.to_owned(),
        observed_metrics: Vec::new(),
        kind,
    }
}

/// `rows` rows, said to be those from `start` on.
#[allow(clippy::unnecessary_wraps, reason = "scripts hold results")]
fn rows(id: &str, start: i64, rows: i64) -> Result<proto::ExecutePlanResponse, Status> {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + rows));
    let batch = RecordBatch::try_from_iter([("a", values)]).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let data = writer.into_inner().unwrap().into();
    let batch =
        ArrowBatch { row_count: rows, data, start_offset: Some(start), chunk_index: None, chunks_in_batch: None };
    Ok(response(id, Some(ResponseKind::Batch(batch))))
}

#[allow(clippy::unnecessary_wraps, reason = "scripts hold results")]
fn complete(id: &str) -> Result<proto::ExecutePlanResponse, Status> {
    Ok(response(id, Some(ResponseKind::Complete(Empty {}))))
}

fn unavailable() -> Status {
    Status::unavailable("gone")
}

fn of_class(class: &str) -> Status {
    Status::internal(format!("[{class}] told by the server"))
}

fn asked(fake: &Fake, what: &str) -> usize {
    fake.asked.lock().unwrap().iter().filter(|asked| asked.starts_with(what)).count()
}

#[tokio::test]
async fn the_end_of_a_stream_is_not_the_end_of_the_result() {
    let (mut execution, fake) = execution(vec![
        Ok(vec![rows("1", 0, 5), rows("2", 5, 5)]),
        Ok(vec![]),
        Ok(vec![rows("3", 10, 1)]),
        Ok(vec![complete("4")]),
    ]);
    assert_eq!(execution.finish().await.unwrap(), 11);
    let asked = fake.asked.lock().unwrap().clone();
    let opened: Vec<_> = asked.iter().filter(|asked| !asked.starts_with("release")).collect();
    assert_eq!(opened, ["execute", "reattach 2", "reattach 2", "reattach 3"]);
    assert_eq!(asked.last().map(String::as_str), Some("release all"));
    assert!(asked.contains(&"release 1".to_owned()), "{asked:?}");
    assert!(execution.next().await.unwrap().is_none(), "the end stays the end");
}

#[tokio::test]
async fn a_broken_stream_goes_on_behind_the_last_response() {
    let (mut execution, fake) = execution(vec![
        Ok(vec![rows("1", 0, 5), Err(unavailable())]),
        Err(unavailable()),
        Ok(vec![Err(of_class("INVALID_CURSOR.DISCONNECTED"))]),
        Ok(vec![rows("2", 5, 5), complete("3")]),
    ]);
    assert_eq!(execution.finish().await.unwrap(), 10);
    assert_eq!(asked(&fake, "reattach 1"), 3);
    assert_eq!(asked(&fake, "execute"), 1);
}

#[tokio::test]
async fn breaks_in_a_row_end_in_an_error_that_passes() {
    let (mut execution, fake) = execution(vec![
        Ok(vec![rows("1", 0, 5), Err(unavailable())]),
        Err(unavailable()),
        Err(unavailable()),
        Err(unavailable()),
    ]);
    let error = execution.finish().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_passing(), "{error:?}");
    assert_eq!(asked(&fake, "reattach"), 3);
    assert!(execution.next().await.is_err(), "a failed result never turns into a whole one");
}

#[tokio::test]
async fn an_execution_that_never_arrived_is_begun_again_under_its_id() {
    let (mut execution, fake) = execution(vec![
        Err(unavailable()),
        Err(of_class("INVALID_HANDLE.OPERATION_NOT_FOUND")),
        Ok(vec![rows("1", 0, 5), complete("2")]),
    ]);
    assert_eq!(execution.finish().await.unwrap(), 5);
    assert_eq!(asked(&fake, "execute"), 2);
}

#[tokio::test]
async fn an_execution_that_arrived_late_is_gone_on_with() {
    let (mut execution, fake) = execution(vec![
        Err(unavailable()),
        Err(of_class("INVALID_HANDLE.OPERATION_NOT_FOUND")),
        Err(of_class("INVALID_HANDLE.OPERATION_ALREADY_EXISTS")),
        Ok(vec![rows("1", 0, 5), complete("2")]),
    ]);
    assert_eq!(execution.finish().await.unwrap(), 5);
    assert_eq!((asked(&fake, "execute"), asked(&fake, "reattach")), (2, 2));
}

#[tokio::test]
async fn an_operation_that_is_gone_after_rows_came_is_lost() {
    for class in [
        "INVALID_HANDLE.OPERATION_NOT_FOUND",
        "INVALID_HANDLE.OPERATION_ABANDONED",
        "INVALID_CURSOR.POSITION_NOT_FOUND",
    ] {
        let (mut execution, _) = execution(vec![Ok(vec![rows("1", 0, 5)]), Err(of_class(class))]);
        let error = execution.finish().await.unwrap_err();
        assert!(matches!(error, Error::Lost { .. }) && error.is_passing(), "{error:?}");
    }
}

#[tokio::test]
async fn a_session_that_is_gone_is_told_apart() {
    for class in ["INVALID_HANDLE.SESSION_CHANGED", "INVALID_HANDLE.SESSION_NOT_FOUND", "INVALID_HANDLE.SESSION_CLOSED"]
    {
        let (mut execution, fake) = execution(vec![Err(of_class(class))]);
        let error = execution.finish().await.unwrap_err();
        assert!(matches!(error, Error::SessionLost { .. }), "{error:?}");
        assert_eq!(asked(&fake, "execute"), 1, "settings are gone with a session, so nothing is executed in another");
    }
}

#[tokio::test]
async fn another_server_session_behind_the_same_address_is_noticed() {
    let mut other = rows("2", 5, 5).unwrap();
    other.server_session_id = "other".to_owned();
    let (mut execution, _) = execution(vec![Ok(vec![rows("1", 0, 5), Ok(other)])]);
    assert!(matches!(execution.finish().await.unwrap_err(), Error::SessionLost { .. }));
}

#[tokio::test]
async fn a_query_that_fails_is_not_asked_again() {
    let (mut execution, fake) = execution(vec![Ok(vec![rows("1", 0, 5), Err(of_class("DIVIDE_BY_ZERO"))])]);
    let error = execution.finish().await.unwrap_err();
    assert_eq!((error.class(), error.is_passing()), (Some("DIVIDE_BY_ZERO"), false));
    assert_eq!((asked(&fake, "reattach"), asked(&fake, "release all")), (0, 1));
}

#[tokio::test]
async fn gaps_repeats_and_wrong_counts_are_errors() {
    let mut short = rows("2", 5, 5).unwrap();
    if let Some(ResponseKind::Batch(batch)) = &mut short.kind {
        batch.row_count = 6;
    }
    for second in [rows("2", 6, 5), rows("2", 0, 5), Ok(short)] {
        let (mut execution, _) = execution(vec![Ok(vec![rows("1", 0, 5), second, complete("3")])]);
        assert!(matches!(execution.finish().await.unwrap_err(), Error::Protocol { .. }));
    }
}

#[tokio::test]
async fn batches_without_rows_tell_the_columns() {
    let (mut execution, _) = execution(vec![Ok(vec![rows("1", 0, 0), complete("2")])]);
    assert!(execution.next().await.unwrap().is_none());
    assert_eq!(execution.schema().map(|schema| schema.field(0).name().clone()), Some("a".to_owned()));
}

#[tokio::test]
async fn observations_are_kept_by_name() {
    let literal = |kind| Literal { kind: Some(kind) };
    let observed = ObservedMetrics {
        name: "seen".to_owned(),
        values: vec![literal(LiteralKind::Long(7)), literal(LiteralKind::Null(Empty {}))],
        keys: vec!["rows".to_owned(), "least".to_owned()],
        root_error: None,
        errors: Vec::new(),
    };
    let observed = proto::ExecutePlanResponse { observed_metrics: vec![observed], ..response("1", None) };
    let (mut execution, _) = execution(vec![Ok(vec![Ok(observed), complete("2")])]);
    assert_eq!(execution.finish().await.unwrap(), 0);
    assert_eq!(execution.metrics()["seen"]["rows"], Value::Integer(7));
    assert!(execution.metrics()["seen"]["least"].is_null());
}

#[tokio::test]
async fn cancelling_interrupts_and_releases() {
    let (mut execution, fake) = execution(vec![Ok(vec![rows("1", 0, 5), rows("2", 5, 5)])]);
    execution.next().await.unwrap();
    execution.cancel().await;
    assert_eq!(*fake.asked.lock().unwrap(), ["execute", "interrupt", "release all"]);
}

#[tokio::test]
async fn cancelling_what_never_began_asks_nothing() {
    let (execution, fake) = execution(Vec::new());
    execution.cancel().await;
    assert!(fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_token_is_told_apart() {
    let status = Status::new(Code::Unauthenticated, "Invalid authentication token");
    let (mut execution, _) = execution(vec![Err(status)]);
    assert!(matches!(execution.finish().await.unwrap_err(), Error::Refused { .. }));
}
