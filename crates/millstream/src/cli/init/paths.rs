//! From what a person names to `source.path`.

use std::path::{Component, Path, PathBuf};

use glob::Pattern;

use crate::cli::failure::Failure;

/// Files of one folder that are written one by one, at most; more become a glob if the folder has no others.
const ONE_BY_ONE: usize = 3;
/// Longest name of a pipeline that is made.
const LONGEST_NAME: usize = 40;

/// Where rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Sources {
    /// `source.path`, as seen from the folder of the pipeline file.
    pub(in crate::cli) paths: Vec<String>,
    given: Vec<String>,
}

/// Whether a text has the signs of a glob.
pub(in crate::cli) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

impl Sources {
    /// What was given on the command line, for a pipeline file in `folder`.
    pub(in crate::cli) fn new(given: &[String], folder: &Path) -> Result<Self, Failure> {
        let here = std::env::current_dir()
            .map_err(|error| Failure::Failed(format!("finding the folder that we are in: {error}")))?;
        let is_there = |text: &&String| text.contains("://") || is_glob(text) || Path::new(text).exists();
        let missing: Vec<String> =
            given.iter().filter(|text| !is_there(text)).map(|text| format!("`{text}`")).collect();
        if !missing.is_empty() {
            return Err(Failure::Refused(format!("no such file or folder: {}", missing.join(", "))));
        }
        let paths = match whole_folder(given) {
            Some(glob) => vec![glob],
            None => given.iter().map(|text| pattern(text)).collect(),
        };
        let paths = paths.iter().map(|path| from(path, &here, folder)).collect();
        Ok(Self { paths, given: given.to_vec() })
    }

    /// How the pipeline file came about.
    pub(in crate::cli) fn made_by(&self) -> String {
        let given = if self.given.len() > ONE_BY_ONE { self.paths.clone() } else { self.given.clone() };
        format!("made by `millstream init {}`", given.join(" "))
    }

    /// A name for the pipeline: what the names of the files begin with, or the name of their folder.
    pub(in crate::cli) fn name(&self) -> String {
        let stems: Vec<String> = self
            .given
            .iter()
            .flat_map(|text| names_below(text))
            .map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default())
            .collect();
        let common = stems.iter().skip(1).fold(stems.first().cloned().unwrap_or_default(), |common, stem| {
            common.chars().zip(stem.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
        });
        let folder =
            self.given.first().map(Path::new).and_then(|path| if path.is_dir() { Some(path) } else { path.parent() });
        let folder = folder.and_then(|folder| std::path::absolute(folder).ok());
        let folder = folder.and_then(|folder| folder.file_name().map(|name| name.to_string_lossy().into_owned()));
        [Some(common), folder]
            .into_iter()
            .flatten()
            .map(|name| usable(&name))
            .find(|name| name.len() > 1)
            .unwrap_or_else(|| "pipeline".to_owned())
    }
}

/// The files that a text stands for, as far as that is told without listing much.
fn names_below(text: &str) -> Vec<PathBuf> {
    let path = Path::new(text);
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        return entries.filter(|path| is_parquet(path)).collect();
    }
    if path.exists() {
        return vec![path.to_owned()];
    }
    // Up to the first sign of a glob the names are the same.
    let fixed: String = text.chars().take_while(|letter| !is_glob(&letter.to_string())).collect();
    let is_named = !fixed.is_empty() && !fixed.ends_with('/');
    if is_named { vec![PathBuf::from(format!("{fixed}.glob"))] } else { Vec::new() }
}

fn is_parquet(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['_', '.']));
    path.extension().is_some_and(|extension| extension == "parquet") && !is_hidden
}

/// Letters, digits, `_` and `-`, without digits and signs at the end: a year or month is no part of a name.
fn usable(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '_' || letter == '-' { letter } else { '-' })
        .collect();
    let clean = clean.trim_matches(|letter: char| !letter.is_ascii_alphabetic());
    clean.chars().take(LONGEST_NAME).collect()
}

/// The one glob that stands for many files, if they are all that their folder has.
fn whole_folder(given: &[String]) -> Option<String> {
    let folder = Path::new(given.first()?).parent()?;
    let is_in = |text: &String| Path::new(text).parent() == Some(folder) && Path::new(text).is_file();
    if given.len() <= ONE_BY_ONE || !given.iter().all(is_in) || is_glob(&folder.to_string_lossy()) {
        return None;
    }
    let folder_path = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let all =
        std::fs::read_dir(folder_path).ok()?.filter_map(Result::ok).filter(|entry| is_parquet(&entry.path())).count();
    let named = given.iter().filter(|text| is_parquet(Path::new(text))).count();
    (all == named && named == given.len()).then(|| folder.join("*.parquet").to_string_lossy().into_owned())
}

/// A file or folder whose name has signs of a glob is meant as it is; a folder that has Parquet files only deeper, all of these.
fn pattern(text: &str) -> String {
    let path = Path::new(text);
    if !path.exists() {
        return text.to_owned();
    }
    let plain = if is_glob(text) { Pattern::escape(text) } else { text.to_owned() };
    if path.is_dir() && names_below(text).is_empty() {
        return format!("{}/**/*.parquet", plain.trim_end_matches('/'));
    }
    if plain.len() > 1 { plain.trim_end_matches('/').to_owned() } else { plain }
}

/// A relative path as seen from the folder of the pipeline file.
fn from(path: &str, here: &Path, folder: &Path) -> String {
    if path.contains("://") || Path::new(path).is_absolute() || here == folder {
        return path.to_owned();
    }
    let normal = |path: &Path| {
        let mut normal = PathBuf::new();
        for part in path.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir => drop(normal.pop()),
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(part),
            }
        }
        normal
    };
    crate::source::list::relative(&normal(&here.join(path)), &normal(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_dates_and_no_odd_letters() {
        assert_eq!(usable("yellow_tripdata_20"), "yellow_tripdata");
        assert_eq!(usable("2024 Bestellungen (neu)"), "Bestellungen--neu");
        assert_eq!(usable("12-34"), "");
    }

    #[test]
    fn paths_are_seen_from_the_folder_of_the_pipeline_file() {
        let at = |path| from(path, Path::new("/home/ada"), Path::new("/home/ada/runs/taxi"));
        assert_eq!(at("data/*.parquet"), "../../data/*.parquet");
        assert_eq!(at("./data/../x.parquet"), "../../x.parquet");
        assert_eq!(at("/data/x.parquet"), "/data/x.parquet");
        assert_eq!(at("s3://bucket/x"), "s3://bucket/x");
        assert_eq!(from("x", Path::new("/a"), Path::new("/a")), "x");
    }
}
