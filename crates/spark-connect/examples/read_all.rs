//! Reads a whole result and prints how many rows came and what each column adds up to: to look at a server, and to check that nothing is missing.
//!
//! ```text
//! cargo run -p spark-connect --example read_all -- sc://localhost:15002 "SELECT id, id * 2 AS twice FROM range(1000000)"
//! cargo run -p spark-connect --example read_all -- sc://localhost:15002 /data/trips --slow-ms 50
//! ```
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::{cast, sum};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use spark_connect::{Endpoint, Expression, Options, Plan, Relation, Session};

const USAGE: &str = "read_all ENDPOINT QUERY|PATH [--slow-ms N] [--stop-after ROWS] [--write PATH] [--ca-file FILE] [--set NAME=VALUE]…";

struct Arguments {
    endpoint: Endpoint,
    source: String,
    slow: Duration,
    stop_after: u64,
    write: Option<String>,
    ca_file: Option<PathBuf>,
    settings: Vec<(String, String)>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    match run().await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => match error.downcast_ref::<spark_connect::Error>() {
            Some(told) => {
                println!("failed passing={} class={}", told.is_passing(), told.class().unwrap_or("none"));
                println!("{told}");
                Ok(ExitCode::FAILURE)
            }
            None => Err(error),
        },
    }
}

async fn run() -> Result<()> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let begun = Instant::now();
    let options = Options { ca_file: arguments.ca_file.clone(), ..Options::default() };
    let session = Session::connect(&arguments.endpoint, &options).await?;
    let settings: Vec<_> = arguments.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    session.set(&settings).await?;
    println!("version={}", session.spark_version());

    let relation = arguments.relation().observe("all", [Expression::sql("count(*)").named("rows")]);
    if let Some(path) = arguments.write {
        let none: [(&str, &str); 0] = [];
        session
            .execute(Plan::write_parquet(relation, path, spark_connect::SaveMode::ErrorIfExists, none))
            .finish()
            .await?;
        return Ok(session.release().await?);
    }
    let mut execution = session.execute(Plan::from(relation));
    let mut sums = Vec::new();
    while let Some(batch) = execution.next().await? {
        add(&mut sums, &batch)?;
        if execution.rows() >= arguments.stop_after {
            println!("rows={} so far, cancelled", execution.rows());
            execution.cancel().await;
            return Ok(session.release().await?);
        }
        tokio::time::sleep(arguments.slow).await;
    }
    println!("rows={}", execution.rows());
    for (name, sum) in sums {
        println!("column={name} sum={sum}");
    }
    for (name, value) in execution.metrics().get("all").into_iter().flatten() {
        println!("observed={name} value={value:?}");
    }
    session.release().await?;
    println!("seconds={:.1} peak_kib={}", begun.elapsed().as_secs_f64(), peak_kib().unwrap_or_default());
    Ok(())
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let endpoint = Endpoint::parse(&words.next().context(USAGE)?)?;
        let source = words.next().context(USAGE)?;
        let mut arguments = Self {
            endpoint,
            source,
            slow: Duration::ZERO,
            stop_after: u64::MAX,
            write: None,
            ca_file: None,
            settings: Vec::new(),
        };
        while let Some(name) = words.next() {
            let value = words.next().context(USAGE)?;
            match name.as_str() {
                "--slow-ms" => arguments.slow = Duration::from_millis(value.parse()?),
                "--stop-after" => arguments.stop_after = value.parse()?,
                "--write" => arguments.write = Some(value),
                "--ca-file" => arguments.ca_file = Some(value.into()),
                "--set" => {
                    let (name, value) = value.split_once('=').context(USAGE)?;
                    arguments.settings.push((name.to_owned(), value.to_owned()));
                }
                _ => bail!(USAGE),
            }
        }
        Ok(arguments)
    }

    fn relation(&self) -> Relation {
        if self.source.contains(' ') {
            return Relation::sql(&self.source);
        }
        let none: [(&str, &str); 0] = [];
        Relation::read_parquet([&self.source], None, none)
    }
}

/// Adds each column up: numbers by value, everything else by the bytes of its text.
fn add(sums: &mut Vec<(String, Sum)>, batch: &RecordBatch) -> Result<()> {
    let schema = batch.schema();
    if sums.is_empty() {
        let zero = |data_type: &DataType| if data_type.is_floating() { Sum::Float(0.0) } else { Sum::Integer(0) };
        sums.extend(schema.fields().iter().map(|field| (field.name().clone(), zero(field.data_type()))));
    }
    for ((_, total), column) in sums.iter_mut().zip(batch.columns()) {
        match total {
            Sum::Float(total) => {
                *total += sum(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>()).unwrap_or_default();
            }
            Sum::Integer(total) if column.data_type().is_integer() => {
                let column = cast(column, &DataType::Int64)?;
                *total += column.as_primitive::<Int64Type>().iter().flatten().map(i128::from).sum::<i128>();
            }
            Sum::Integer(total) => {
                let column = cast(column, &DataType::Utf8)?;
                let texts = column.as_string::<i32>();
                let bytes =
                    (0..texts.len()).filter(|&row| texts.is_valid(row)).flat_map(|row| texts.value(row).bytes());
                *total += bytes.map(i128::from).sum::<i128>();
            }
        }
    }
    Ok(())
}

/// What a column adds up to.
enum Sum {
    Integer(i128),
    Float(f64),
}

impl std::fmt::Display for Sum {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(sum) => write!(formatter, "{sum}"),
            Self::Float(sum) => write!(formatter, "{sum}"),
        }
    }
}

/// The most memory that this process ever had (Linux only).
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
