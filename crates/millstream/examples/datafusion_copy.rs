//! The reference of the benchmark: one plain DataFusion copy of Parquet files, with a filter and nothing else.
//!
//! `datafusion_copy IN OUT FILTER`: reads all Parquet files of the folder `IN`, keeps the rows for which the SQL `FILTER` is
//! TRUE, and writes Parquet zstd(1) to the folder `OUT`: batches of 32,768 rows, two partitions.

use anyhow::{Context, Result};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, filter] = arguments.as_slice() else {
        anyhow::bail!("usage: datafusion_copy IN OUT FILTER");
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(copy(input, output, filter))
}

async fn copy(input: &str, output: &str, filter: &str) -> Result<()> {
    let mut config = SessionConfig::new().with_target_partitions(2).with_batch_size(32_768);
    config.options_mut().execution.parquet.compression = Some("zstd(1)".to_owned());
    let context = SessionContext::new_with_config(config);
    let rows = context.read_parquet(input, ParquetReadOptions::default()).await.context("opening the source files")?;
    let filter = rows.parse_sql_expr(filter).context("reading the filter")?;
    rows.filter(filter)?
        .write_parquet(output, DataFrameWriteOptions::new(), None)
        .await
        .with_context(|| format!("copying `{input}` to `{output}`"))?;
    Ok(())
}
