//! Walks a TOML document by hand, so that every mistake is told at once and each with its place.
//!
//! A value that is missing or wrong is reported here and comes back as `None` or as its default; whoever reads on need not
//! care, for a document with a report never becomes a `Config`.

pub(super) mod section;

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::section::Section;
use super::clean::Literal;
use super::environment;
use super::error::Mistake;
use crate::units;

/// Collects mistakes.
pub(super) struct Reader<'d> {
    environment: &'d dyn Fn(&str) -> Option<String>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(environment: &'d dyn Fn(&str) -> Option<String>) -> Self {
        Self { environment, mistakes: RefCell::new(Vec::new()) }
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }

    pub(super) fn report(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    /// The document itself.
    pub(super) fn root(&'d self, table: &'d DeTable<'d>) -> Section<'d> {
        Section::of(self, table, String::new(), None)
    }

    /// A document that is `[clean.rules]` alone.
    pub(super) fn rules(&'d self, table: &'d DeTable<'d>) -> Section<'d> {
        Section::of(self, table, "clean.rules".to_owned(), None)
    }
}

/// A value of the document.
#[derive(Clone)]
pub(super) struct Item<'d> {
    reader: &'d Reader<'d>,
    path: String,
    value: &'d Spanned<DeValue<'d>>,
}

/// A text, completed from the environment.
#[derive(Clone)]
pub(super) struct Text<'d> {
    pub(super) value: String,
    written: &'d str,
    pub(super) item: Item<'d>,
}

impl Text<'_> {
    /// As it stands in the file, on one line: what messages show, for a value of the environment may be secret.
    pub(super) fn shown(&self) -> String {
        self.written.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
    }

    /// Reports a mistake here.
    pub(super) fn mistake(&self, problem: impl Into<String>, allowed: Option<&str>) {
        self.item.mistake(problem, allowed);
    }
}

impl<'d> Item<'d> {
    /// Reports a mistake here.
    pub(super) fn mistake(&self, problem: impl Into<String>, allowed: Option<&str>) {
        self.reader.report(Mistake {
            span: Some(self.value.span()),
            key: self.path.clone(),
            problem: problem.into(),
            did_you_mean: None,
            allowed: allowed.map(str::to_owned),
        });
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        self.mistake(format!("this is {}", kind(self.value.get_ref())), Some(expected));
        None
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.get_ref().is_str()
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    pub(super) fn text(&self) -> Option<Text<'d>> {
        self.text_as("a text in quotes")
    }

    /// A text; another type is told what the text should be.
    pub(super) fn text_as(&self, expected: &str) -> Option<Text<'d>> {
        let Some(written) = self.value.get_ref().as_str() else { return self.wrong_type(expected) };
        match environment::expand(written, self.reader.environment) {
            Ok(value) => Some(Text { value, written, item: self.clone() }),
            Err(error) => {
                self.mistake(error.to_string(), None);
                None
            }
        }
    }

    /// A text, without a report if it is none.
    pub(super) fn quietly(&self) -> Option<Text<'d>> {
        let written = self.value.get_ref().as_str()?;
        let value = environment::expand(written, self.reader.environment).ok()?;
        Some(Text { value, written, item: self.clone() })
    }

    /// A text with something in it.
    pub(super) fn filled_text(&self) -> Option<Text<'d>> {
        let text = self.text()?;
        if text.value.trim().is_empty() {
            self.mistake("this is empty", None);
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.value.get_ref().as_bool().or_else(|| self.wrong_type("true, false"))
    }

    fn number(&self) -> Option<i128> {
        let integer = self.value.get_ref().as_integer()?;
        i128::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    /// A whole number within `range`.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let allowed = format!("a whole number, {} to {}", range.start(), range.end());
        if !self.value.get_ref().is_integer() {
            return self.wrong_type(&allowed);
        }
        let number = self.number().and_then(|number| u64::try_from(number).ok());
        self.within(number, &range, &allowed)
    }

    /// Bytes, as a number or as a text with a unit.
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let bounds = format!("{} to {}", units::format_size(*range.start()), units::format_size(*range.end()));
        let allowed = format!("{}, {bounds}", units::SIZE_FORM);
        if self.value.get_ref().is_integer() {
            return self.within(self.number().and_then(|number| u64::try_from(number).ok()), &range, &bounds);
        }
        let text = self.text_as(&allowed)?;
        match units::parse_size(&text.value) {
            Ok(bytes) => self.within(Some(bytes), &range, &bounds),
            Err(_) => self.not_a(&text, "a size", &allowed),
        }
    }

    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (low, high) = (units::format_duration(*range.start()), units::format_duration(*range.end()));
        let allowed = format!("{}, {low} to {high}", units::DURATION_FORM);
        let text = self.text_as(&allowed)?;
        match units::parse_duration(&text.value) {
            Ok(duration) => self.within(Some(duration), &range, &format!("{low} to {high}")),
            Err(_) => self.not_a(&text, "a duration", &allowed),
        }
    }

    fn within<T: PartialOrd>(&self, value: Option<T>, range: &RangeInclusive<T>, allowed: &str) -> Option<T> {
        let fitting = value.filter(|value| range.contains(value));
        if fitting.is_none() {
            self.mistake("out of range", Some(allowed));
        }
        fitting
    }

    /// Reports that a text is not what it should be.
    pub(super) fn not_a<T>(&self, text: &Text<'_>, what: &str, allowed: &str) -> Option<T> {
        self.mistake(format!("`{}` is not {what}", text.shown()), Some(allowed));
        None
    }

    /// One of a few words; `what` they are is for the message.
    pub(super) fn choice<T: Copy>(&self, what: &str, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let allowed = words.join(", ");
        let text = self.text_as(&allowed)?;
        let found = choices.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            self.mistake(format!("unknown {what} `{}`", text.shown()), Some(&allowed));
        }
        found.map(|(_, choice)| *choice)
    }

    pub(super) fn list_len(&self) -> Option<usize> {
        self.value.get_ref().as_array().map(|items| items.len())
    }

    pub(super) fn list(&self) -> Option<Vec<Item<'d>>> {
        let Some(items) = self.value.get_ref().as_array() else { return self.wrong_type("a list in brackets") };
        let item = |(index, value)| Item { reader: self.reader, path: format!("{}[{index}]", self.path), value };
        Some(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn section(&self) -> Option<Section<'d>> {
        let Some(table) = self.value.get_ref().as_table() else { return self.wrong_type("a table") };
        Some(Section::of(self.reader, table, self.path.clone(), Some(self.value.span())))
    }

    /// A number, a truth value or a text; dates and times become text.
    pub(super) fn literal(&self) -> Option<Literal> {
        match self.value.get_ref() {
            DeValue::String(_) => self.text().map(|text| Literal::Text(text.value)),
            DeValue::Integer(_) => {
                let number = self.number().and_then(|number| i64::try_from(number).ok());
                if number.is_none() {
                    self.mistake("out of range", Some("a whole number of 64 bits"));
                }
                number.map(Literal::Integer)
            }
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Some(Literal::Float(number)),
                Ok(_) | Err(_) => {
                    self.mistake("not a finite number", Some("a number of 64 bits, neither nan nor inf"));
                    None
                }
            },
            DeValue::Boolean(value) => Some(Literal::Boolean(*value)),
            DeValue::Datetime(datetime) => Some(Literal::Text(datetime.to_string())),
            DeValue::Array(_) | DeValue::Table(_) => self.wrong_type("a number, a text, true, false, a date or a time"),
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn join(path: &str, key: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let key = if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
