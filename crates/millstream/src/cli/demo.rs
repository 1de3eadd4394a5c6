//! `millstream demo`: the example, embedded in the program, in a folder of its own.

use std::io::IsTerminal;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use millstream_core::config::Config;
use rust_embed::RustEmbed;
use tokio::runtime::Runtime;

use super::failure::Failure;
use super::terminal::Terminal;
use super::{load, run};
use crate::data_dir::DataDir;
use crate::environment::variable;
use crate::pipeline::Role;
use crate::server::Server;

/// Rows of the example.
#[derive(RustEmbed)]
#[folder = "../../examples/nyc-taxi/data"]
struct ExampleData;

const PIPELINE_FILE: &str = "pipeline.toml";
const PIPELINE: &str = include_str!("../../../../examples/nyc-taxi/pipeline.toml");
const README_FILE: &str = "README.md";
const README: &str = include_str!("../../../../examples/nyc-taxi/README.md");

/// Ports that are tried, one after the other.
const PORTS: u16 = 50;

/// How long an address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What is used in place of what the program brings along.
#[derive(Debug, clap::Args)]
pub(super) struct Instead {
    /// Over a real Kafka at this address instead of the embedded log
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Name of the topic; without it a new one each time, for a topic outlives the folder of the demo
    #[arg(long, value_name = "NAME", requires = "kafka")]
    topic: Option<String>,
    /// Clean with a real Spark at this address instead of DataFusion
    #[arg(long, value_name = "sc://HOST:PORT")]
    spark: Option<String>,
}

impl Instead {
    /// The pipeline file of the example with it.
    fn pipeline(&self) -> String {
        let with_kafka = self
            .kafka
            .as_deref()
            .map_or_else(|| PIPELINE.to_owned(), |brokers| with_kafka(brokers, self.topic.as_deref()));
        let Some(spark) = &self.spark else { return with_kafka };
        with_kafka.replacen("[stream]\n", &format!("[clean.spark]\nconnect = {spark:?}\n\n[stream]\n"), 1)
    }

    /// That a pipeline file is right, and that somebody is where it says that Kafka is.
    fn check(pipeline: &str, file: &Path) -> Result<(), Failure> {
        let failed = |error: &std::io::Error| Failure::Failed(format!("finding the folder of the demo: {error}"));
        let file = std::path::absolute(file).map_err(|error| failed(&error))?;
        let config =
            Config::parse(pipeline, &file, &variable).map_err(|errors| Failure::Refused(errors.to_string()))?;
        let Some(kafka) = config.stream.kafka else { return Ok(()) };
        let mut last = "there is no such host".to_owned();
        for address in kafka.brokers.split(',') {
            match address.to_socket_addrs() {
                Ok(found) => {
                    for address in found {
                        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                            Ok(_) => return Ok(()),
                            Err(error) => last = error.to_string(),
                        }
                    }
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(Failure::Refused(format!(
            "nobody answers at `{}` ({last}): is the address behind `--kafka` right, and does the broker run?",
            kafka.brokers
        )))
    }

    /// Whether the pipeline file of an earlier demo names the same.
    fn is_in(&self, config: &Config) -> bool {
        let kafka = config.stream.kafka.as_ref().map(|kafka| kafka.brokers.as_str());
        let spark = config.spark.as_ref().map(|spark| spark.connect.reveal());
        self.kafka.as_deref().is_none_or(|brokers| kafka == Some(brokers))
            && self.spark.as_deref().is_none_or(|connect| spark == Some(connect))
    }
}

/// Copies the example to a folder, unless it is there, and runs it until Ctrl-C.
pub(super) fn demo(
    folder: &Path,
    port: u16,
    instead: &Instead,
    browser: bool,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let pipeline_file = folder.join(PIPELINE_FILE);
    if pipeline_file.exists() {
        terminal.say(&format!("going on in `{}`; remove that folder to start over", folder.display()));
    } else {
        let pipeline = instead.pipeline();
        // A mistake in an address leaves no folder behind.
        Instead::check(&pipeline, &pipeline_file)?;
        copy(folder, &pipeline)?;
        terminal.say(&format!("the example is in `{}`: pipeline.toml, data, README.md", folder.display()));
    }
    let config = load(&pipeline_file)?;
    if !instead.is_in(&config) {
        return Err(Failure::Refused(format!(
            "the demo in `{}` was made for another log or engine ({}): name another folder with `--dir`, or remove that one",
            folder.display(),
            made_for(&config)
        )));
    }
    let data_dir = DataDir::open(&config)?;
    let log = kafka_lines(&config);
    let runtime = run::server_runtime()?;
    let (config, server) = start_server(config, port, &runtime)?;
    run::run_with(config, &data_dir, run::Options::new(Role::Run, false, false), terminal, runtime, server, |url| {
        terminal.say(&invitation(url, &pipeline_file, &log));
        if browser {
            open_browser(url);
        }
    })
}

/// Writes the example to a folder that is not there or empty. The pipeline file comes last: it tells that all is there.
fn copy(folder: &Path, pipeline: &str) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error| Failure::Failed(format!("writing the example to `{path}`: {error}"))
    };
    let data = folder.join("data");
    std::fs::create_dir_all(&data).map_err(failed(&data))?;
    for name in ExampleData::iter() {
        let Some(file) = ExampleData::get(&name) else { continue };
        let path = data.join(&*name);
        let parent = path.parent().unwrap_or(&data);
        std::fs::create_dir_all(parent).map_err(failed(parent))?;
        std::fs::write(&path, &file.data).map_err(failed(&path))?;
    }
    for (name, text) in [(README_FILE, README), (PIPELINE_FILE, pipeline)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

/// The pipeline file with Kafka as its log.
fn with_kafka(brokers: &str, topic: Option<&str>) -> String {
    let new = || format!("taxi-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let topic = topic.map_or_else(new, str::to_owned);
    let stream = PIPELINE.replace("topic = \"taxi\"", &format!("topic = {topic:?}"));
    let head = "[table]\n";
    let kafka = format!("[stream.kafka]\nbrokers = {brokers:?}\n\n{head}");
    stream.replacen(head, &kafka, 1)
}

/// On the first free port from `port` on.
fn start_server(mut config: Config, port: u16, runtime: &Runtime) -> Result<(Config, Server), Failure> {
    let last = port.saturating_add(if port == 0 { 0 } else { PORTS - 1 });
    for candidate in port..=last {
        config.server.http.set_port(candidate);
        match Server::start(&config, runtime.handle()) {
            Ok(server) => return Ok((config, server)),
            Err(error) if error.is_taken() && candidate < last => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::Refused(format!("no port from {port} to {last} is free: choose another with `--port`")))
}

/// What the invitation says of the log, where it is Kafka.
fn kafka_lines(config: &Config) -> String {
    let Some(kafka) = &config.stream.kafka else { return String::new() };
    let (brokers, topic) = (&kafka.brokers, &config.stream.topic);
    format!("\n  log    Kafka at {brokers}, topic {topic}; to read it: examples/python/consume.py {brokers} {topic}")
}

fn made_for(config: &Config) -> String {
    let kafka = config.stream.kafka.as_ref();
    let log = kafka.map_or_else(|| "the embedded log".to_owned(), |kafka| format!("Kafka at {}", kafka.brokers));
    // Its address may have a token in it.
    let engine = if config.spark.is_some() { ", Spark" } else { "" };
    format!("{log}{engine}")
}

fn invitation(url: &str, pipeline_file: &Path, log: &str) -> String {
    let file = pipeline_file.display();
    format!(
        "
  open   {url}
  see    rows on their way from files to the live table and the archive, what the rules took out and why,
         and the ledger that adds up all the while{log}
  try    millstream sql {file} \"SELECT count(*) FROM events\"
         millstream tail {file}
         millstream status {file}
  end    Ctrl-C; a second `millstream demo` goes on where this one ended
"
    )
}

/// Only where somebody sits at this machine; if it does not work the address is printed anyway.
#[allow(clippy::disallowed_methods, reason = "whether there is a desktop is told by the environment only")]
fn open_browser(url: &str) {
    let has_desktop =
        cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !has_desktop || !std::io::stdout().is_terminal() {
        return;
    }
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let child = Command::new(opener).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = child {
        tracing::debug!(%error, opener, "no browser was opened");
    }
}
