use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use millstream_core::config::Config;
use tempfile::TempDir;

use super::{DataDir, DataDirError, Found, RunInfo, describe, find, reset};

/// A pipeline file in a folder, with the named pieces in their tables.
fn config(folder: &Path, pipeline: &str, rest: &str) -> Config {
    let text = format!("[pipeline]\n{pipeline}\n[source]\npath = \"*.parquet\"\nevent_time = \"at\"\n{rest}\n");
    Config::parse(&text, &folder.join("pipeline.toml"), &|_| None).unwrap()
}

fn taxi(folder: &Path) -> Config {
    config(folder, "name = \"taxi\"", "")
}

fn info() -> RunInfo {
    RunInfo {
        pid: 4711,
        url: "http://127.0.0.1:1".to_owned(),
        token: "secret".to_owned(),
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn the_folder_and_its_files_are_for_the_owner_only() {
    let folder = TempDir::new().unwrap();
    let config = taxi(folder.path());
    let data_dir = DataDir::open(&config).unwrap();
    data_dir.write_run_info(&info()).unwrap();
    let path = &config.pipeline.data_dir;
    assert_eq!(mode(path), 0o700);
    for file in ["FORMAT", "lock", "run.json"] {
        assert_eq!(mode(&path.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_folder_is_found_running_only_while_it_is_open() {
    let folder = TempDir::new().unwrap();
    let config = taxi(folder.path());
    let path = &config.pipeline.data_dir;
    assert_eq!(find(path).unwrap(), Found::Idle);
    let data_dir = DataDir::open(&config).unwrap();
    assert_eq!(find(path).unwrap(), Found::Running(None));
    data_dir.write_run_info(&info()).unwrap();
    assert_eq!(find(path).unwrap(), Found::Running(Some(info())));
    // A killed process leaves `run.json` behind.
    drop(data_dir);
    assert!(path.join("run.json").exists());
    assert_eq!(find(path).unwrap(), Found::Idle);
    let data_dir = DataDir::open(&config).unwrap();
    assert_eq!(find(path).unwrap(), Found::Running(None));
    data_dir.remove_run_info().unwrap();
    assert!(!path.join("run.json").exists());
}

#[test]
fn a_second_process_is_told_who_has_the_folder() {
    let folder = TempDir::new().unwrap();
    let config = taxi(folder.path());
    let data_dir = DataDir::open(&config).unwrap();
    data_dir.write_run_info(&info()).unwrap();
    let error = DataDir::open(&config).unwrap_err();
    assert!(matches!(error, DataDirError::InUse { pid: Some(4711), .. }), "{error}");
    assert!(matches!(reset(&config, false, false).unwrap_err(), DataDirError::InUse { .. }));
}

#[test]
fn the_stream_id_survives() {
    let folder = TempDir::new().unwrap();
    let config = taxi(folder.path());
    let data_dir = DataDir::open(&config).unwrap();
    let described = || describe(&config.pipeline.data_dir).unwrap();
    assert_eq!(described(), Some(("taxi".to_owned(), None)));
    data_dir.set_stream_id("a-b-c").unwrap();
    drop(data_dir);
    drop(DataDir::open(&config).unwrap());
    assert_eq!(described(), Some(("taxi".to_owned(), Some("a-b-c".to_owned()))));
}

#[test]
fn what_the_first_run_fixed_cannot_change() {
    let folder = TempDir::new().unwrap();
    let open = |rest: &str| DataDir::open(&config(folder.path(), "name = \"taxi\"", rest));
    open("[clean.dedup]\nkey = [\"at\"]\nwithin = \"24h\"").unwrap();
    open("[clean.dedup]\nkey = [\"at\"]\nwithin = \"1d\"").unwrap();
    let error = open("[stream]\npartitions = 5\n[archive]\npartition_by = \"month\"").unwrap_err();
    insta::assert_snapshot!(error, @r#"
    `archive.partition_by` was "arrival_day" at the first run and is "month" now; it is fixed at the first run
    `clean.dedup.key` was ["at"] at the first run and is (not set) now; it is fixed at the first run
    `clean.dedup.within` was "1d" at the first run and is (not set) now; it is fixed at the first run
    `stream.partitions` was 2 at the first run and is 5 now; it is fixed at the first run
    set it back, or start over with `millstream reset --archive`
    "#);
}

#[test]
fn a_newer_format_another_pipeline_and_a_damaged_file_are_refused() {
    let folder = TempDir::new().unwrap();
    let ours = taxi(folder.path());
    drop(DataDir::open(&ours).unwrap());
    let other = DataDir::open(&config(folder.path(), "name = \"flights\"", "")).unwrap_err();
    assert!(matches!(&other, DataDirError::OtherPipeline { found, .. } if found == "taxi"), "{other}");
    let format = ours.pipeline.data_dir.join("FORMAT");
    std::fs::write(&format, "{\"format\": 4, \"of\": \"the future\"}").unwrap();
    let newer = DataDir::open(&ours).unwrap_err();
    assert!(matches!(newer, DataDirError::NewerFormat { found: 4, known: 3, .. }), "{newer}");
    std::fs::write(&format, "{").unwrap();
    assert!(matches!(DataDir::open(&ours).unwrap_err(), DataDirError::Damaged { .. }));
}

#[test]
fn reset_removes_what_is_ours_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let config = taxi(folder.path());
    let data_dir = config.pipeline.data_dir.clone();
    let archive = config.archive.path.folder().unwrap().to_owned();
    drop(DataDir::open(&config).unwrap());
    std::fs::create_dir_all(data_dir.join("log/deep")).unwrap();
    std::fs::write(data_dir.join("log/deep/journal"), "x").unwrap();
    std::fs::write(data_dir.join("notes.txt"), "of a person").unwrap();
    std::fs::create_dir_all(archive.join("rows/_delta_log")).unwrap();
    std::fs::create_dir_all(archive.join("rejects")).unwrap();

    let planned = reset(&config, false, true).unwrap();
    assert!(data_dir.join("log/deep/journal").exists(), "a dry run removes nothing");
    assert_eq!(reset(&config, false, false).unwrap(), planned);
    assert!(!data_dir.join("log").exists() && !data_dir.join("FORMAT").exists() && !data_dir.join("lock").exists());
    assert!(archive.join("rows/_delta_log").exists(), "the archive stays unless it is named");

    reset(&config, true, false).unwrap();
    assert!(!archive.exists());
    assert_eq!(std::fs::read_to_string(data_dir.join("notes.txt")).unwrap(), "of a person");
}

#[test]
fn reset_never_follows_links_and_refuses_what_is_not_an_archive() {
    let folder = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    std::fs::write(elsewhere.path().join("precious"), "x").unwrap();
    let config = taxi(folder.path());
    let data_dir = config.pipeline.data_dir.clone();
    let archive = config.archive.path.folder().unwrap().to_owned();
    drop(DataDir::open(&config).unwrap());

    symlink(elsewhere.path(), data_dir.join("log")).unwrap();
    assert!(matches!(reset(&config, false, false).unwrap_err(), DataDirError::NotOurs { .. }));
    std::fs::remove_file(data_dir.join("log")).unwrap();
    std::fs::create_dir(data_dir.join("log")).unwrap();
    symlink(elsewhere.path(), data_dir.join("log/inside")).unwrap();

    std::fs::create_dir_all(archive.join("rows/photos")).unwrap();
    let error = reset(&config, true, false).unwrap_err();
    assert!(matches!(error, DataDirError::NotOurs { .. }), "{error}");
    assert!(data_dir.join("FORMAT").exists(), "a refusal removes nothing");

    reset(&config, false, false).unwrap();
    assert!(elsewhere.path().join("precious").exists());
}
