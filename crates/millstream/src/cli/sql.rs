//! `millstream sql`: one statement that only reads, on the running pipeline or on its archive.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::config::Config;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Client, block_on};
use super::failure::Failure;
use super::number::{count, duration};
use super::terminal::Terminal;
use super::{out, table};
use crate::data_dir::{self, Found};
use crate::server::answer::elapsed_ms;
use crate::server::rows::{ColumnHead, heads, rows};
use crate::view::{Queries, QueryError, QueryResult};

/// Besides the query's own limit: connecting and reading the answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(60);

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
            let queries = archive_queries(Arc::new(config))?;
            plain_answer(&block_on(async { Ok(queries.run(sql, limit).await?) })?)?
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
        terminal.say(&format!("{} rows in {}", count(shown), duration(answer.elapsed_ms / 1e3)));
    }
    Ok(())
}

async fn ask(client: &Client, sql: &str, limit: Option<usize>, timeout: Duration) -> Result<Answer, Failure> {
    let request = client.request(Method::POST, "/api/sql").timeout(timeout + ANSWER_MARGIN);
    let response = client.send(request.json(&json!({ "sql": sql, "limit": limit }))).await?;
    response.json().await.map_err(|error| client.lost(&error))
}

/// Queries on the archive of a pipeline that does not run.
fn archive_queries(config: Arc<Config>) -> Result<Queries, QueryError> {
    Queries::on_archive(config)
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
