//! The outer shape of JSON values: objects, lists and texts, with what they hold left as text.
//!
//! `serde_json` checks the grammar; what is inside of a value is skipped without recursion, so that depth costs no stack.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::original::shortened;

/// Names of unknown keys that are kept, at most.
const UNKNOWN_LIMIT: usize = 100;

/// Where a value is: column, fields and places in lists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    pub(super) parent: Option<&'a Path<'a>>,
    pub(super) step: Step<'a>,
}

/// The last step to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

/// Keys that no column has.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    pub(super) names: BTreeSet<String>,
}

/// A value, told apart by what it begins with.
#[derive(Debug)]
pub(super) enum Token<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(&'a str),
    Object(&'a str),
}

/// The keys and values of an object, in order, also if they repeat.
pub(super) struct Entries<'a>(pub(super) Vec<(Cow<'a, str>, &'a str)>);

impl Path<'_> {
    /// Without places in lists.
    fn names(&self) -> String {
        let parent = self.parent.map(Path::names).unwrap_or_default();
        match self.step {
            Step::Name(name) if parent.is_empty() => name.to_owned(),
            Step::Name(name) => format!("{parent}.{name}"),
            Step::Index(_) => parent,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(formatter)?;
        }
        match self.step {
            // The key of a map can be as long as its writer likes.
            Step::Name(name) if self.parent.is_some() => write!(formatter, ".{}", shortened(name)),
            Step::Name(name) => formatter.write_str(&shortened(name)),
            Step::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

impl Unknown {
    pub(super) fn add(&mut self, parent: Option<&Path<'_>>, name: &str) {
        if self.names.len() >= UNKNOWN_LIMIT {
            return;
        }
        let name = match parent {
            None => Cow::Borrowed(name),
            Some(_) => Cow::Owned(Path { parent, step: Step::Name(name) }.names()),
        };
        if !self.names.contains(name.as_ref()) {
            self.names.insert(shortened(&name));
        }
    }
}

impl<'a> Token<'a> {
    /// Tells what a value is. `raw` is a JSON value without space around it, as [`RawValue`] has it.
    ///
    /// # Errors
    /// When it is a text with escapes that stand for no character.
    pub(super) fn new(raw: &'a str) -> Result<Self, &'static str> {
        Ok(match raw.as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b't') => Self::Boolean(true),
            Some(b'f') => Self::Boolean(false),
            Some(b'[') => Self::List(raw),
            Some(b'{') => Self::Object(raw),
            Some(b'"') => Self::Text(match raw.get(1..raw.len() - 1) {
                Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
                _ => Cow::Owned(serde_json::from_str(raw).map_err(|_| "its escapes stand for no character")?),
            }),
            _ => Self::Number(raw),
        })
    }
}

/// The items of a list.
///
/// # Errors
/// When it is none.
pub(super) fn items(raw: &str) -> Result<Vec<&str>, serde_json::Error> {
    Ok(serde_json::from_str::<Vec<&RawValue>>(raw)?.into_iter().map(RawValue::get).collect())
}

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(32);
        while let Some(key) = map.next_key_seed(KeySeed)? {
            entries.push((key, map.next_value::<&RawValue>()?.get()));
        }
        Ok(Entries(entries))
    }
}

/// A text, borrowed where it has no escapes.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
