//! `millstream parity`: whether both engines make the same of the source files. Changes nothing.

use std::sync::Arc;

use millstream_core::config::{Config, Secret, Spark};

use super::failure::Failure;
use super::number::count;
use super::out;
use super::terminal::Terminal;
use crate::chain::chain;
use crate::clean::Cleaner;
use crate::clean::datafusion::DataFusionCleaner;
use crate::clean::spark::{Place, SparkCleaner};
use crate::parity::{Engines, Report, Sample, parity as compare};
use crate::source::list::{Listed, Listing};

/// Bytes of an answer that are kept in memory.
const SPOOL_BYTES: usize = 64 << 20;

/// What the command line says.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A Spark Connect server, in place of that of `[clean.spark]`
    #[arg(long, value_name = "sc://HOST:PORT")]
    connect: Option<String>,
    /// Compare this many files at most, the first ones
    #[arg(long, value_name = "FILES", default_value_t = usize::MAX, hide_default_value = true)]
    files: usize,
    /// Compare this many rows of each file at most, the first ones
    #[arg(long, value_name = "ROWS", default_value_t = u64::MAX, hide_default_value = true)]
    rows: u64,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// Compares, and ends with code 1 if there is a difference.
pub(super) fn parity(config: &Config, options: Options, terminal: &Terminal) -> Result<(), Failure> {
    let Options { connect, files, rows, json } = options;
    let given = connect.map(|connect| Spark::at(Secret::new(connect), &config.pipeline.data_dir));
    let Some(spark) = given.or_else(|| config.spark.clone()) else {
        return Err(Failure::Refused(
            "there is no Spark to compare with: add `[clean.spark]` to the pipeline file, or name one by `--connect \
             sc://host:15002`"
                .to_owned(),
        ));
    };
    let listing = Listing::of(config)?;
    // Beside a run of the pipeline, which has folders of its own there.
    let place = Place {
        store: listing.store(),
        spool_dir: std::env::temp_dir(),
        sessions_file: None,
        spool_bytes: SPOOL_BYTES,
        batch_rows: config.batch_rows(),
        owner: &format!("{}-parity-{}", config.pipeline.name, std::process::id()),
        tell: Arc::new(|_, text| tracing::warn!("{text}")),
    };
    let spark = SparkCleaner::new(spark, place).map_err(|error| Failure::Refused(chain(&error)))?;
    let (batch_rows, batch_bytes) = (config.batch_rows(), config.stream.batch_bytes);
    let datafusion =
        DataFusionCleaner { store: listing.store(), batch_rows, batch_bytes, gauges: std::sync::Arc::default() };
    let engines = Engines { datafusion: Arc::new(datafusion), spark: Arc::new(spark) as Arc<dyn Cleaner> };
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("millstream-work").enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("starting the threads that clean: {error}")))?;
    let report = runtime.block_on(async {
        let Listed { files: found, .. } = listing.list().await?;
        if found.is_empty() {
            return Err(Failure::Refused(format!("nothing matches `source.path` = {}", listing.patterns())));
        }
        let tell = |file: &str| terminal.say(&format!("cleaning `{file}` with both engines"));
        Ok(compare(config, &listing, &found, &engines, Sample { files, rows }, tell).await?)
    })?;
    runtime.shutdown_background();
    out::write(&if json { serde_json::json!(report).to_string() + "\n" } else { describe(&report) })?;
    if report.rows == 0 {
        return Err(Failure::Refused(
            "nothing was compared: the files have no rows, or Spark takes none of them".to_owned(),
        ));
    }
    if report.differences == 0 { Ok(()) } else { Err(Failure::Failed("the engines do not agree".to_owned())) }
}

fn describe(report: &Report) -> String {
    let Report { files, rows, clean, rejected, differences, examples, refused } = report;
    let filtered = rows - clean - rejected;
    let mut lines = vec![
        format!("{:>12} rows in {} files, cleaned by DataFusion and by Spark", count(*rows), count(*files)),
        format!("{:>12} delivered by both", count(*clean)),
        format!("{:>12} rejected by both", count(*rejected)),
        format!("{:>12} filtered, or of different fates", count(filtered)),
        format!("{:>12} differences", count(*differences)),
    ];
    for example in examples {
        lines.push(format!("! `{}` row {}, {}:", example.file, example.row, example.what));
        lines.push(format!("    datafusion  {}", example.datafusion));
        lines.push(format!("    spark       {}", example.spark));
    }
    lines.extend(refused.iter().map(|refused| format!("note: `{}` is not compared: {}", refused.file, refused.reason)));
    lines.push(String::new());
    lines.join("\n")
}
