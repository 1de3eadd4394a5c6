//! `millstream sql`: one statement that only reads, on the running pipeline or on its archive.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::config::Config;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, block_on};
use super::failure::Failure;
use super::number::{count, counted, duration};
use super::terminal::Terminal;
use super::{out, table};
use crate::data_dir::{self, Found};
use crate::pipeline;
use crate::server::answer::elapsed_ms;
use crate::server::rows::{ColumnHead, heads, rows};
use crate::view::QueryResult;

/// Besides the query's own limit: connecting and reading the answer.
const ANSWER_MARGIN: Duration = Duration::from_mins(1);

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Table,
    /// One object a line.
    Json,
    /// With a head line.
    Csv,
}

impl Form {
    /// As the command line says; not both.
    pub(super) fn new(json: bool, csv: bool) -> Self {
        match (json, csv) {
            (true, _) => Self::Json,
            (false, true) => Self::Csv,
            (false, false) => Self::Table,
        }
    }
}

/// What a query gave; the body of `POST /api/sql`.
#[derive(Debug, Deserialize)]
struct Answer {
    columns: Vec<ColumnHead>,
    rows: Vec<Vec<Value>>,
    truncated: bool,
    elapsed_ms: f64,
}

/// Runs a statement and prints its rows.
pub(super) fn sql(
    config: Config,
    sql: &str,
    form: Form,
    limit: Option<usize>,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let answer = match Client::find(&config)? {
        Some(client) => block_on(ask(&client, sql, limit, config.limits.query_timeout))?,
        None if data_dir::find(&config.pipeline.data_dir)? != Found::Idle => {
            return Err(Failure::Failed("the pipeline is starting; try again when it runs".to_owned()));
        }
        None => {
            let limit = limit.unwrap_or(config.limits.query_rows.get());
            plain_answer(&query_archive(Arc::new(config), sql, limit)?)?
        }
    };
    let columns: Vec<String> = answer.columns.into_iter().map(|column| column.name).collect();
    out::write(&match form {
        Form::Table => table::table(&columns, &answer.rows),
        Form::Json => table::json_lines(&columns, &answer.rows),
        Form::Csv => table::csv(&columns, &answer.rows),
    })?;
    let shown = answer.rows.len() as u64;
    if answer.truncated {
        terminal
            .say(&format!("only the first {} rows: `--limit` or `limits.query_rows` cut the rest off", count(shown)));
    } else if form == Form::Table {
        terminal.say(&format!("{} in {}", counted(shown, "row"), duration(answer.elapsed_ms / 1e3)));
    }
    Ok(())
}

async fn ask(client: &Client, sql: &str, limit: Option<usize>, timeout: Duration) -> Result<Answer, Failure> {
    let request = client.request(Method::POST, "/api/sql").timeout(timeout + ANSWER_MARGIN);
    let response = client.send(request.json(&json!({ "sql": sql, "limit": limit }))).await?;
    response.json().await.map_err(|error| client.lost(&error))
}

/// Runs a statement on the archive of a pipeline that does not run.
fn query_archive(config: Arc<Config>, sql: &str, limit: usize) -> Result<QueryResult, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("millstream-query").enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("starting the threads of the query: {error}")))?;
    let result = runtime.block_on(async {
        let queries = pipeline::archive_only(config, runtime.handle().clone()).await?;
        Ok(queries.run(sql, limit).await?)
    });
    runtime.shutdown_background();
    result
}

fn plain_answer(result: &QueryResult) -> Result<Answer, Failure> {
    let mut all = Vec::new();
    for batch in &result.batches {
        all.extend(rows(batch).map_err(|error| Failure::failed(&error))?);
    }
    Ok(Answer {
        columns: heads(&result.schema),
        rows: all,
        truncated: result.truncated,
        elapsed_ms: elapsed_ms(result),
    })
}
