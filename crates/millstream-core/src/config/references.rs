//! What other settings may say about columns: which names there can be, and of which type.

use super::columns::{ReadColumn, ReadDerived};
use super::reader::Text;
use crate::types::ColumnType;

/// The columns that the pipeline file itself speaks of. A source file may have more, which pass through under their names.
pub(super) struct References<'r, 'd> {
    pub(super) columns: &'r [ReadColumn<'d>],
    pub(super) derived: &'r [ReadDerived<'d>],
    pub(super) drop: &'r [Text<'d>],
}

impl References<'_, '_> {
    /// The type that the pipeline file gives a column.
    pub(super) fn type_of(&self, name: &str) -> Option<ColumnType> {
        let declared = self.columns.iter().find(|read| read.column.name == name);
        let derived = self.derived.iter().filter_map(|read| read.derived.as_ref()).find(|derived| derived.name == name);
        declared.and_then(|read| read.column.column_type).or(derived.map(|derived| derived.column_type))
    }

    /// Reports a column (or the field of one, `a.b`) that cannot exist after cleaning.
    pub(super) fn check(&self, text: &Text<'_>) {
        let name = text.value.as_str();
        let root = name.split('.').next().unwrap_or(name);
        if self.is_output(name) || self.is_output(root) {
            return;
        }
        let shown = text.shown();
        if root.starts_with('_') {
            text.mistake(format!("`{shown}`: names that begin with `_` are ours and no column of the source"), None);
        } else if let Some(read) = self.columns.iter().find(|read| read.column.from.iter().any(|from| from == root)) {
            let column = &read.column.name;
            text.mistake(
                format!("`{shown}` is called `{column}` after cleaning (`clean.columns`); write `{column}` here"),
                None,
            );
        } else if self.drop.iter().any(|drop| drop.value == root) {
            text.mistake(
                format!("`{shown}` is left out by `clean.drop`; take it out of there or name another column here"),
                None,
            );
        }
    }

    fn is_output(&self, name: &str) -> bool {
        let declared = self.columns.iter().any(|read| read.column.name == name);
        declared || self.derived.iter().any(|read| read.entry.name == name)
    }

    /// Reports names that are there twice, and source columns that two settings claim.
    pub(super) fn check_each_other(&self) {
        self.check_output_names();
        for (index, read) in self.columns.iter().enumerate() {
            for from in &read.from {
                let others = self.columns.iter().enumerate().filter(|(other, _)| *other != index);
                let claimed = others
                    .map(|(_, other)| &other.column)
                    .find(|other| other.name == from.value || other.from.contains(&from.value));
                if let Some(other) = claimed {
                    let problem = format!(
                        "`{}` is a source column of `clean.columns.{}` too; leave it to one of them",
                        from.shown(),
                        other.name
                    );
                    from.mistake(problem, None);
                }
                if self.drop.iter().any(|drop| drop.value == from.value) {
                    let problem = format!("`{}` is in `clean.drop` and here; take it out of one of them", from.shown());
                    from.mistake(problem, None);
                }
            }
            let name = &read.column.name;
            if read.from.is_empty() && self.drop.iter().any(|drop| drop.value == *name) {
                let problem =
                    format!("`{name}` is declared here and left out by `clean.drop`; take it out of one of them");
                read.entry.mistake(problem, None);
            }
        }
    }

    fn check_output_names(&self) {
        let entries = self.columns.iter().map(|read| &read.entry).chain(self.derived.iter().map(|read| &read.entry));
        let mut before: Vec<&str> = Vec::new();
        for entry in entries {
            if let Some(other) = before.iter().find(|other| other.eq_ignore_ascii_case(entry.name)) {
                let problem = format!("`{other}` is the name of a column before (case is not told apart); rename one");
                entry.mistake(problem, None);
            }
            before.push(entry.name);
        }
    }
}
