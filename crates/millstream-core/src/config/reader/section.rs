//! Tables of the document: keys are taken one by one, and what nobody took is told.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeTable;

use super::{Item, Reader, Text, join};
use crate::config::error::{Mistake, Span};
use crate::config::nearest::nearest;

/// A table of the document, perhaps absent. Keys are taken one by one; `finish` reports those that nobody took.
pub(in crate::config) struct Section<'d> {
    reader: &'d Reader<'d>,
    table: Option<&'d DeTable<'d>>,
    path: String,
    span: Option<Span>,
    known: Vec<&'static str>,
    refused: Vec<&'static str>,
    /// Something else stands in its place, which was reported: what is missing from it is not.
    replaced: bool,
}

impl<'d> Section<'d> {
    pub(super) fn of(reader: &'d Reader<'d>, table: &'d DeTable<'d>, path: String, span: Option<Span>) -> Self {
        Self { table: Some(table), span, ..Self::absent(reader, path) }
    }

    fn absent(reader: &'d Reader<'d>, path: String) -> Self {
        Self { reader, table: None, path, span: None, known: Vec::new(), refused: Vec::new(), replaced: false }
    }

    /// The value of `key`, which is known from now on.
    pub(in crate::config) fn take(&mut self, key: &'static str) -> Option<Item<'d>> {
        self.known.push(key);
        let (_, value) = self.table?.get_key_value(key)?;
        Some(Item { reader: self.reader, path: join(&self.path, key), value })
    }

    /// As `take`; an absent key is a mistake.
    pub(in crate::config) fn require(&mut self, key: &'static str, allowed: &str) -> Option<Item<'d>> {
        let item = self.take(key);
        if item.is_none() {
            self.missing(key, allowed);
        }
        item
    }

    /// Reports that `key` is needed.
    pub(in crate::config) fn missing(&self, key: &str, allowed: &str) {
        if self.replaced {
            return;
        }
        self.reader.report(Mistake {
            span: self.span.clone(),
            key: join(&self.path, key),
            problem: "missing, and needed".to_owned(),
            did_you_mean: None,
            allowed: Some(allowed.to_owned()),
        });
    }

    /// The table below `key`; an empty one if it is absent.
    pub(in crate::config) fn section(&mut self, key: &'static str) -> Section<'d> {
        let absent = Self::absent(self.reader, join(&self.path, key));
        match self.take(key) {
            None => absent,
            Some(item) => item.section().unwrap_or(Self { replaced: true, ..absent }),
        }
    }

    /// Reports `key`, if it is there, as one that this version does not know yet.
    pub(in crate::config) fn refuse(&mut self, key: &'static str, why: &str) {
        if let Some(item) = self.take(key) {
            item.mistake(why, None);
        }
        self.known.retain(|known| *known != key);
        self.refused.push(key);
    }

    /// Reports a mistake at the head of this table.
    pub(in crate::config) fn mistake(&self, problem: impl Into<String>, allowed: Option<&str>) {
        self.reader.report(Mistake {
            span: self.span.clone(),
            key: self.path.clone(),
            problem: problem.into(),
            did_you_mean: None,
            allowed: allowed.map(str::to_owned),
        });
    }

    /// All entries of a table whose keys are names that the user chose, in the order of the file.
    pub(in crate::config) fn entries(&self) -> Vec<Entry<'d>> {
        let mut entries: Vec<Entry<'d>> = self
            .table
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                let name = key.get_ref().as_ref();
                let item = Item { reader: self.reader, path: join(&self.path, name), value };
                Entry { name, span: key.span(), item }
            })
            .collect();
        entries.sort_by_key(|entry| entry.span.start);
        entries
    }

    /// Reports the keys that were not taken.
    pub(in crate::config) fn finish(self) {
        for entry in self.entries() {
            if self.known.contains(&entry.name) || self.refused.contains(&entry.name) {
                continue;
            }
            self.reader.report(Mistake {
                span: Some(entry.span),
                key: entry.item.path,
                problem: "unknown key".to_owned(),
                did_you_mean: nearest(entry.name, self.known.iter().copied()).map(str::to_owned),
                allowed: Some(self.known.join(", ")),
            });
        }
    }

    pub(in crate::config) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.take(key).and_then(|item| item.boolean()).unwrap_or(default)
    }

    pub(in crate::config) fn integer(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.take(key).and_then(|item| item.integer(range)).unwrap_or(default)
    }

    pub(in crate::config) fn size(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.take(key).and_then(|item| item.size(range)).unwrap_or(default)
    }

    pub(in crate::config) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        self.take(key).and_then(|item| item.duration(range)).unwrap_or(default)
    }

    pub(in crate::config) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        what: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        self.take(key).and_then(|item| item.choice(what, choices)).unwrap_or(default)
    }

    /// A list of texts; empty if absent.
    pub(in crate::config) fn texts(&mut self, key: &'static str) -> Vec<Text<'d>> {
        self.take(key).and_then(|item| item.list()).unwrap_or_default().iter().filter_map(Item::text).collect()
    }
}

/// An entry of a table whose keys are names that the user chose.
pub(in crate::config) struct Entry<'d> {
    pub(in crate::config) name: &'d str,
    /// Where the name stands.
    pub(in crate::config) span: Span,
    pub(in crate::config) item: Item<'d>,
}

impl Entry<'_> {
    /// Reports a mistake at the name.
    pub(in crate::config) fn mistake(&self, problem: impl Into<String>, allowed: Option<&str>) {
        self.item.reader.report(Mistake {
            span: Some(self.span.clone()),
            key: self.item.path.clone(),
            problem: problem.into(),
            did_you_mean: None,
            allowed: allowed.map(str::to_owned),
        });
    }
}
