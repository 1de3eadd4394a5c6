//! A pipeline in a temporary folder, and the program on it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything.
const DEADLINE: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Settings that make a test quick.
const QUICK: &str = "[stream]\nflush_interval = \"5ms\"\n[server]\nhttp = \"127.0.0.1:0\"\n";

/// A pipeline file with its sources.
pub(crate) struct Pipeline {
    folder: TempDir,
}

impl Pipeline {
    /// A pipeline `trips` over the Parquet files of its folder `data`; `more` is added to the pipeline file.
    pub(crate) fn new(more: &str) -> Self {
        Self::with_source("", more)
    }

    /// As [`Self::new`], with more lines in `[source]`.
    pub(crate) fn with_source(source: &str, more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let pipeline = Self { folder };
        pipeline.write(&format!(
            "[pipeline]\nname = \"trips\"\n[source]\npath = \"data/*.parquet\"\nevent_time = \"at\"\n{source}\n\
             [archive]\ncommit_interval = \"200ms\"\n{QUICK}{more}"
        ));
        pipeline
    }

    /// Puts another text in the place of the pipeline file.
    pub(crate) fn write(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
    }

    /// Changes the pipeline file.
    pub(crate) fn replace(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(from), "`{from}` is not in\n{text}");
        self.write(&text.replace(from, to));
    }

    /// Adds a source file with `rows` rows.
    pub(crate) fn add_file(&self, name: &str, rows: usize) {
        self.add_groups(name, rows, usize::MAX);
    }

    /// Adds a source file with `rows` rows, so many of them in a row group.
    pub(crate) fn add_groups(&self, name: &str, rows: usize, group_rows: usize) {
        let staged = self.path("data").join(format!("_{name}"));
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::try_from(rows).unwrap()));
        let hours = (0..i64::try_from(rows).unwrap()).map(|row| 1_546_300_800_000_000 + row * 3_600_000_000);
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(hours).with_timezone("UTC"));
        let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("trip {row}"))));
        let fares: ArrayRef = Arc::new((0..rows).map(|row| (row % 7 != 0).then_some(1.5)).collect::<Float64Array>());
        let batch = RecordBatch::try_from_iter([("id", ids), ("at", times), ("name", names), ("fare", fares)]).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
        let file = std::fs::File::create(&staged).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        std::fs::rename(staged, self.path("data").join(name)).unwrap();
    }

    /// Where the pages of a row group of a source file are.
    pub(crate) fn bytes_of_group(&self, name: &str, group: usize) -> (usize, usize) {
        let file = std::fs::File::open(self.path("data").join(name)).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let ranges = reader.metadata().row_group(group).columns().iter().map(ColumnChunkMetaData::byte_range);
        let ranges: Vec<(usize, usize)> = ranges
            .map(|(start, length)| (usize::try_from(start).unwrap(), usize::try_from(start + length).unwrap()))
            .collect();
        (ranges.iter().map(|range| range.0).min().unwrap(), ranges.iter().map(|range| range.1).max().unwrap())
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.path("pipeline.toml")
    }

    /// A path in the folder of the pipeline file.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("millstream-data")
    }

    /// The program with this command on this pipeline.
    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_millstream"));
        program.arg(command).arg(self.file()).args(arguments).current_dir(self.folder.path());
        program.env_remove("MILLSTREAM_FAILPOINT").stdin(Stdio::null());
        program
    }

    /// Runs a command to its end.
    pub(crate) fn call(&self, command: &str, arguments: &[&str]) -> Called {
        Called::of(&self.command(command, arguments).output().unwrap(), self.folder.path())
    }

    /// Starts `run` and waits until rows can be queried.
    pub(crate) fn start(&self) -> Run {
        Run::start(&mut self.command("run", &[]), &self.data_dir(), self.path("stderr.txt"))
    }
}

/// What a command printed, with the temporary folder as `[FOLDER]`.
#[derive(Debug)]
pub(crate) struct Called {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Called {
    pub(crate) fn of(output: &Output, folder: &Path) -> Self {
        let text =
            |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace(&*folder.to_string_lossy(), "[FOLDER]");
        Self { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Asserts that the command was refused, for a reason that contains these words.
    pub(crate) fn assert_refused(&self, words: &[&str]) {
        assert_eq!(self.code, 2, "{self:?}");
        for words in words {
            assert!(self.stderr.contains(words), "`{words}` is not in\n{}", self.stderr);
        }
    }
}

/// A running pipeline; killed when it is dropped.
pub(crate) struct Run {
    child: Child,
    pub(crate) url: String,
    log: PathBuf,
}

impl Run {
    /// Starts a command that runs a pipeline with this data folder, and waits until rows can be queried.
    pub(crate) fn start(command: &mut Command, data_dir: &Path, log: PathBuf) -> Self {
        let stderr = std::fs::File::create(&log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        let mut run = Self { child, url: String::new(), log };
        let pid = run.child.id();
        let info = run.wait_for("run.json", || {
            let text = std::fs::read_to_string(data_dir.join("run.json")).ok()?;
            // One of a process that was killed may still be there.
            serde_json::from_str::<Value>(&text).ok().filter(|info| info["pid"] == pid)
        });
        info["url"].as_str().unwrap().clone_into(&mut run.url);
        run
    }

    /// Polls until `condition` gives something; fails when the program ends before, or at a deadline.
    pub(crate) fn wait_for<T>(&mut self, what: &str, condition: impl Fn() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = condition() {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            assert!(ended.is_none(), "waiting for {what}: the program ended with {ended:?}\n{}", log());
            assert!(start.elapsed() < DEADLINE, "waiting for {what}: nothing after {DEADLINE:?}\n{}", log());
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// `127.0.0.1:port`
    pub(crate) fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, std::fs::read_to_string(&self.log).unwrap());
            }
            assert!(start.elapsed() < DEADLINE, "the program does not end");
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
