//! `millstream tail`: the newest rows as they come.

use std::collections::VecDeque;

use futures::StreamExt;
use millstream_core::config::Config;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use self::events::Events;
use super::client::{Client, block_on};
use super::failure::Failure;
use super::{out, table};

mod events;

/// Rows that are remembered so that none is printed twice; an event has 30.
const REMEMBERED_ROWS: usize = 256;

/// Data of a `rows` event: the newest rows, newest first.
#[derive(Deserialize)]
struct Newest {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

/// Prints rows until Ctrl-C, or until the pipeline ends.
pub(super) fn tail(config: &Config, json: bool) -> Result<(), Failure> {
    let Some(client) = Client::find(config)? else {
        let text = format!("pipeline `{}` does not run; start it with `millstream run`", config.pipeline.name);
        return Err(Failure::Refused(text));
    };
    block_on(async {
        tokio::select! {
            followed = follow(&client, json) => followed,
            told = tokio::signal::ctrl_c() => told.map_err(|error| Failure::Failed(format!("taking signals: {error}"))),
        }
    })
}

async fn follow(client: &Client, json: bool) -> Result<(), Failure> {
    let response = client.send(client.request(Method::GET, "/api/stream")).await?;
    let mut bytes = response.bytes_stream();
    let mut events = Events::default();
    let mut printed = Printed::default();
    while let Some(piece) = bytes.next().await {
        let piece = piece.map_err(|error| client.lost(&error))?;
        for event in events.push(&piece).map_err(Failure::Failed)? {
            if event.name != "rows" {
                continue;
            }
            let newest: Newest = serde_json::from_str(&event.data).map_err(|error| Failure::failed(&error))?;
            out::write(&printed.add(newest, json))?;
        }
    }
    Ok(())
}

/// What was printed already.
#[derive(Default)]
struct Printed {
    columns: Vec<String>,
    rows: VecDeque<String>,
}

impl Printed {
    /// The rows that are new, oldest first, as text.
    fn add(&mut self, newest: Newest, json: bool) -> String {
        let Newest { columns, rows } = newest;
        let mut new = Vec::new();
        for row in rows.into_iter().rev() {
            let key = identity(&columns, &row);
            if self.rows.contains(&key) {
                continue;
            }
            if self.rows.len() == REMEMBERED_ROWS {
                self.rows.pop_front();
            }
            self.rows.push_back(key);
            new.push(row);
        }
        if new.is_empty() {
            return String::new();
        }
        if json {
            return table::json_lines(&columns, &new);
        }
        let text = table::table(&columns, &new);
        if columns == self.columns {
            // The head was printed before.
            return text.split_inclusive('\n').skip(2).collect();
        }
        self.columns = columns;
        text
    }
}

/// What makes a row that row: file and row number, or all of it.
fn identity(columns: &[String], row: &[Value]) -> String {
    let parts: Vec<&Value> = columns
        .iter()
        .zip(row)
        .filter(|(name, _)| matches!(name.as_str(), "_file" | "_row"))
        .map(|(_, value)| value)
        .collect();
    let parts = if parts.len() == 2 { parts } else { row.iter().collect() };
    parts.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
