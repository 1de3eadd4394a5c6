//! Values of large appends: files beside the database, written once from the first byte to the last, forced to disk before the
//! headers that name them are appended, and removed whole when no header names them any more.
//!
//! A database that keeps values writes each twice, journal and table. What a kill leaves behind the last named value is never read.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_core::record::checksum;
use serde::{Deserialize, Serialize};

/// Size past which the next file is begun.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What must fit before writing is begun anew on a disk that took no more: more than most appends.
const PROBE_BYTES: usize = 16 * 1024 * 1024;

/// Ending of the files.
const EXTENSION: &str = "values";

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Number of the file.
    file: u64,
    /// Its first byte there.
    start: u64,
    /// Of the value.
    checksum: u64,
}

/// The files of a log.
#[derive(Debug)]
pub(super) struct Values {
    folder: PathBuf,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    /// The file that is written, between two appends.
    current: Option<Current>,
    /// Its number, also while it is written: it may hold values that no header names yet.
    written: Option<u64>,
    /// Number of the next file.
    next: u64,
    /// Values in each file that headers name.
    named: BTreeMap<u64, u64>,
    /// Size of each file.
    bytes: BTreeMap<u64, u64>,
    /// The file that was read last.
    read: Option<(u64, Arc<File>)>,
}

#[derive(Debug)]
struct Current {
    number: u64,
    file: File,
    bytes: u64,
}

impl Values {
    /// The files in `folder`, which is made when it is not there. Blocks.
    pub(super) fn open(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        File::open(folder.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        let mut files = Files::default();
        for number in numbers(&folder)? {
            files.next = files.next.max(number + 1);
            files.bytes.insert(number, std::fs::metadata(file_path(&folder, number))?.len());
        }
        Ok(Self { folder, files: Mutex::new(files) })
    }

    /// Removes what no header names. Blocks. To be called once all headers were counted.
    pub(super) fn remove_unnamed(&self) -> Result<()> {
        let named = self.lock().named.clone();
        let unnamed: Vec<u64> =
            numbers(&self.folder)?.into_iter().filter(|number| !named.contains_key(number)).collect();
        self.remove(&unnamed)
    }

    /// Writes values and forces them to disk. Blocks. After an error nothing that it wrote is ever named, and it takes no room.
    pub(super) fn append<'a>(&self, values: impl Iterator<Item = &'a Bytes>) -> Result<Vec<Place>> {
        let (mut current, number) = {
            let mut files = self.lock();
            // Taken out: after an error the next append begins a file of its own.
            let current = files.current.take().filter(|current| current.bytes < FILE_BYTES);
            if current.is_none() {
                files.next += 1;
            }
            let number = current.as_ref().map_or(files.next - 1, |current| current.number);
            files.written = Some(number);
            (current, number)
        };
        let current = match &mut current {
            Some(current) => current,
            none => none.insert(self.create(number)?),
        };
        let before = current.bytes;
        let places = current.write(values).inspect_err(|_| {
            // What cannot be taken back now goes with the file, or at the next start.
            let _ = if before == 0 { std::fs::remove_file(self.path(number)) } else { current.file.set_len(before) };
        })?;
        let Current { number, bytes, .. } = *current;
        let file = current.file.try_clone()?;
        let mut files = self.lock();
        files.bytes.insert(number, bytes);
        files.current = Some(Current { number, file, bytes });
        drop(files);
        Ok(places)
    }

    /// Whether values can be written at the moment. Blocks.
    pub(super) fn probe(&self) -> Result<()> {
        let path = self.folder.join("probe");
        let probed = std::fs::write(&path, vec![b'.'; PROBE_BYTES]).and_then(|()| File::open(&path)?.sync_all());
        let removed = std::fs::remove_file(&path);
        probed.and(removed)
    }

    /// Counts the header that names a value.
    pub(super) fn name(&self, place: Place) {
        *self.lock().named.entry(place.file).or_default() += 1;
    }

    /// Headers that named these values are gone. Gives the files that may be removed once that is durable.
    pub(super) fn let_go(&self, places: &[Place]) -> Vec<u64> {
        let mut files = self.lock();
        for place in places {
            if let Some(named) = files.named.get_mut(&place.file) {
                *named = named.saturating_sub(1);
            }
        }
        let written = files.written;
        let free: Vec<u64> = files
            .named
            .iter()
            .filter(|&(&file, &named)| named == 0 && Some(file) != written)
            .map(|(&file, _)| file)
            .collect();
        files.named.retain(|file, _| !free.contains(file));
        free
    }

    /// Removes files. Blocks.
    pub(super) fn remove(&self, free: &[u64]) -> Result<()> {
        for &number in free {
            std::fs::remove_file(self.path(number))?;
            let mut files = self.lock();
            files.bytes.remove(&number);
            files.read = None;
        }
        Ok(())
    }

    /// Reads a value back. Blocks.
    pub(super) fn read(&self, place: Place, bytes: u64) -> Result<Bytes> {
        let known = self.lock().read.clone().filter(|(number, _)| *number == place.file);
        let file = if let Some((_, file)) = known {
            file
        } else {
            let file = Arc::new(File::open(self.path(place.file))?);
            self.lock().read = Some((place.file, Arc::clone(&file)));
            file
        };
        let mut value = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut value, place.start)?;
        if checksum(&value) != place.checksum {
            return Err(Error::new(ErrorKind::InvalidData, "a value is not what was written"));
        }
        Ok(Bytes::from(value))
    }

    /// Size of all files.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.lock().bytes.values().sum()
    }

    fn create(&self, number: u64) -> Result<Current> {
        let file = OpenOptions::new().write(true).create_new(true).open(self.path(number))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(Current { number, file, bytes: 0 })
    }

    fn path(&self, number: u64) -> PathBuf {
        file_path(&self.folder, number)
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        // Every change under the lock is whole by itself.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    fn write<'a>(&mut self, values: impl Iterator<Item = &'a Bytes>) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        for value in values {
            self.file.write_all(value)?;
            places.push(Place { file: self.number, start: self.bytes, checksum: checksum(value) });
            self.bytes += value.len() as u64;
        }
        self.file.sync_data()?;
        Ok(places)
    }
}

fn file_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.{EXTENSION}"))
}

/// Numbers of the files that are there.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            numbers.extend(stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()));
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(texts: &[&str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::from((*text).to_owned())).collect()
    }

    #[test]
    fn values_come_back_and_what_was_never_named_is_gone_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let values = Values::open(folder.path().to_owned()).unwrap();
        let written = bytes(&["one", "", "three"]);
        let places = values.append(written.iter()).unwrap();
        let read = |values: &Values, at: usize| values.read(places[at], written[at].len() as u64).unwrap();
        assert_eq!([read(&values, 0), read(&values, 1), read(&values, 2)].to_vec(), written);
        drop(values);

        let again = Values::open(folder.path().to_owned()).unwrap();
        again.name(places[2]);
        again.remove_unnamed().unwrap();
        assert_eq!(read(&again, 2), written[2]);
        let later = again.append(bytes(&["four"]).iter()).unwrap();
        assert_ne!(later[0].file, places[2].file, "a file that another life began is never written on");
        drop(again);

        let last = Values::open(folder.path().to_owned()).unwrap();
        last.remove_unnamed().unwrap();
        assert_eq!(numbers(folder.path()).unwrap(), Vec::<u64>::new());
    }

    #[test]
    fn a_file_goes_when_its_last_value_does_but_never_the_one_that_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let values = Values::open(folder.path().to_owned()).unwrap();
        let places = values.append(bytes(&["one", "two"]).iter()).unwrap();
        for place in &places {
            values.name(*place);
        }
        assert_eq!(values.let_go(&places), Vec::<u64>::new());
        values.lock().written = None;
        for place in &places {
            values.name(*place);
        }
        assert_eq!(values.let_go(&places[..1]), Vec::<u64>::new());
        let free = values.let_go(&places[1..]);
        assert_eq!(free, [places[0].file]);
        values.remove(&free).unwrap();
        assert_eq!(numbers(folder.path()).unwrap(), Vec::<u64>::new());
    }

    #[test]
    fn a_value_that_changed_on_disk_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let values = Values::open(folder.path().to_owned()).unwrap();
        let place = values.append(bytes(&["one"]).iter()).unwrap()[0];
        std::fs::write(values.path(place.file), "two").unwrap();
        assert!(values.read(place, 3).is_err());
    }
}
