//! A pipeline file with other rules, to try them: given as lines as they would stand under `[clean.rules]`.

use std::path::Path;

use toml::de::DeTable;

use super::columns::{read_columns, read_derive};
use super::error::{ConfigErrors, Mistake, locate};
use super::reader::Reader;
use super::references::References;
use super::rules::read_rules;
use super::{Config, place, secrets, syntax_mistake};
use crate::plan::check::{Problem, check_config};

/// Where mistakes of such lines are told to be.
const WHERE: &str = "[clean.rules]";

impl Config {
    /// The pipeline file `text`, which is without mistakes, with the rules of `lines` in place of those of the same names; new ones
    /// come last.
    ///
    /// # Errors
    /// All mistakes of the lines at once.
    pub fn with_rules(
        &self,
        text: &str,
        lines: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let (document, syntax_errors) = DeTable::parse_recoverable(lines);
        let mut hidden = secrets::find_in_comments(lines);
        if !syntax_errors.is_empty() {
            hidden.extend(secrets::find_in_text(lines));
            let mistakes = syntax_errors.iter().map(|error| syntax_mistake(error, lines)).collect();
            return Err(locate(Path::new(WHERE), lines, mistakes, &hidden));
        }
        let (whole, _) = DeTable::parse_recoverable(text);
        // What is wrong with the file itself was told when it was read.
        let of_file = Reader::new(environment);
        let mut clean = of_file.root(whole.get_ref()).section("clean");
        let drop = clean.texts("drop");
        let columns = read_columns(&clean.section("columns"));
        let derived = read_derive(&clean.section("derive"));
        let references = References { columns: &columns, derived: &derived, drop: &drop };
        let reader = Reader::new(environment);
        let rules = read_rules(&reader.rules(document.get_ref()), &references);
        let names: Vec<String> = rules.iter().map(|rule| rule.name.clone()).collect();
        let mut changed = self.clone();
        for rule in rules {
            match changed.clean.rules.iter_mut().find(|known| known.name == rule.name) {
                Some(known) => *known = rule,
                None => changed.clean.rules.push(rule),
            }
        }
        let mut mistakes = reader.into_mistakes();
        for problem in check_config(&changed.clean, changed.source.event_time.as_deref()) {
            let below = problem.key.strip_prefix("clean.rules.");
            let name =
                below.and_then(|below| names.iter().find(|name| below.strip_prefix(name.as_str()).is_some_and(ends)));
            let told =
                |mistake: &Mistake| name.is_some_and(|name| mistake.key.starts_with(&format!("clean.rules.{name}")));
            let Some(below) = below.filter(|_| name.is_some()) else { continue };
            if !mistakes.iter().any(told) {
                let here = Problem { key: below.to_owned(), text: problem.text.clone() };
                mistakes.push(Mistake { key: problem.key.clone(), ..place::mistake(lines, document.get_ref(), &here) });
            }
        }
        if mistakes.is_empty() { Ok(changed) } else { Err(locate(Path::new(WHERE), lines, mistakes, &hidden)) }
    }
}

/// Whether a name ends where this begins.
fn ends(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[pipeline]\nname = \"p\"\n[source]\npath = \"a.parquet\"\n[clean.columns]\nfare = { from = [\"Fare\"], type = \"float64\" }\n\
        [clean.rules]\nfare = { column = \"fare\", check = { range = { min = 0, max = 10 } }, action = \"reject\" }\n\
        known = { column = \"fare\", check = \"not_null\", action = \"warn\" }\n";

    fn changed(lines: &str) -> Result<Config, String> {
        let config = Config::parse(FILE, Path::new("/p/p.toml"), &|_| None).unwrap();
        config.with_rules(FILE, lines, &|_| None).map_err(|errors| errors.to_string())
    }

    #[test]
    fn rules_take_the_place_of_those_of_their_names() {
        let lines = "fare = { column = \"fare\", check = { range = { min = -5 } }, action = \"reject\" }\n\
            other = { check = { sql = \"fare < 3\" }, action = \"warn\" }\n";
        let rules = changed(lines).unwrap().clean.rules;
        let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names, ["fare", "known", "other"]);
        assert!(format!("{:?}", rules[0]).contains("-5"), "{:?}", rules[0]);
        assert_eq!(changed("").unwrap().clean.rules.len(), 2);
    }

    #[test]
    fn mistakes_are_told_where_they_are_in_the_lines() {
        insta::assert_snapshot!(changed("# new\nfare = { column = \"Fare\", check = { rang = { min = 0 } }, action = \"drop\" }\n").unwrap_err(), @r#"
        [clean.rules]:2:19: clean.rules.fare.column: `Fare` is called `fare` after cleaning (`clean.columns`); write `fare` here
          |
        2 | fare = { column = "Fare", check = { rang = { min = 0 } }, action = "drop" }
          |                   ^^^^^^

        [clean.rules]:2:37: clean.rules.fare.check.rang: unknown key; did you mean `range`? allowed: range, one_of, pattern, length, compare, required_if, sql
          |
        2 | fare = { column = "Fare", check = { rang = { min = 0 } }, action = "drop" }
          |                                     ^^^^

        [clean.rules]:2:68: clean.rules.fare.action: unknown action `drop`; allowed: reject, nullify, clamp, warn, fail
          |
        2 | fare = { column = "Fare", check = { rang = { min = 0 } }, action = "drop" }
          |                                                                    ^^^^^^
        "#);
        insta::assert_snapshot!(changed("fare = { check = { sql = \"fare > \" }, action = \"reject\" }\n").unwrap_err(), @r#"
        [clean.rules]:1:33: clean.rules.fare.check: `fare > ` is not read as an SQL expression: Expected: an expression, found: EOF
          |
        1 | fare = { check = { sql = "fare > " }, action = "reject" }
          |                                 ^
        "#);
        insta::assert_snapshot!(changed("fare = {").unwrap_err(), @r#"
        [clean.rules]:1:9: unclosed inline table, expected `}`
          |
        1 | fare = {
          |         ^
        "#);
    }
}
