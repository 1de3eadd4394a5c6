//! From typed columns to what becomes of each row.

use super::{
    BROKEN, Layer, MARKS, METRIC_DELIVERED, METRIC_FAIL_ROW, METRIC_FAIL_WHAT, METRIC_FILTERED, METRIC_REJECTED,
    METRIC_ROWS, Named, OBSERVED, ROW,
};
use crate::config::clean::{Action, OnBad};
use crate::expr::Expr;
use crate::plan::{FilePlan, OutputFrom, PlannedRule};
use crate::spark::Refusal;
use crate::spark::emit::emit;
use crate::spark::emit::literal::text;

/// The layers behind `c0…`; `bad` tells for which typed columns there is an `x`.
pub(super) fn layers(plan: &FilePlan, bad: &[bool]) -> Result<Vec<Layer>, Refusal> {
    let outcome = Outcome { plan, bad };
    let mut layers = vec![outcome.derived()?, outcome.derived_values()?, outcome.rules()?, outcome.judged()];
    layers.push(Outcome::observed());
    layers.push(Layer::Filter("delivered OR rejected".to_owned()));
    let (actions, values) = outcome.actions()?;
    layers.extend(actions);
    layers.push(outcome.output(&values));
    Ok(layers)
}

struct Outcome<'a> {
    plan: &'a FilePlan,
    bad: &'a [bool],
}

impl Outcome<'_> {
    /// `d0…`, `passed`, `bad`.
    fn derived(&self) -> Result<Layer, Refusal> {
        let mut columns = self.typed();
        for (place, derived) in self.plan.derived.iter().enumerate() {
            let what = || format!("derived column `{}`", derived.name);
            columns.push(Named::new(self.over_values(&derived.raw, &self.names(), what)?, format!("d{place}")));
        }
        let passed = match &self.plan.filter {
            Some(filter) => {
                let keep = self.over_values(filter, &self.names(), || "clean.filter.keep".to_owned())?;
                format!("({keep} <=> true)")
            }
            None => "true".to_owned(),
        };
        columns.push(Named::new(passed, "passed"));
        columns.push(Named::new(any(self.bad_with(OnBad::Reject).map(|place| format!("x{place}"))), "bad"));
        Ok(Layer::Project(columns))
    }

    /// `w0…`, `open`.
    fn derived_values(&self) -> Result<Layer, Refusal> {
        let mut columns = self.typed();
        columns.extend([Named::same("bad"), Named::new("(passed AND NOT bad)", "open")]);
        for (place, derived) in self.plan.derived.iter().enumerate() {
            let raw = format!("d{place}");
            let value = match &derived.value {
                None => raw,
                Some(value) => {
                    columns.push(Named::same(raw.clone()));
                    emit(value, &|_| raw.clone())
                        .map_err(|reason| Refusal { what: format!("derived column `{}`", derived.name), reason })?
                }
            };
            columns.push(Named::new(value, format!("w{place}")));
        }
        Ok(Layer::Project(columns))
    }

    /// `y0…`, `t0…`.
    fn rules(&self) -> Result<Layer, Refusal> {
        let mut columns = self.typed();
        columns.extend([Named::same("bad"), Named::same("open")]);
        for (place, derived) in self.plan.derived.iter().enumerate() {
            columns.push(Named::same(format!("w{place}")));
            if derived.value.is_some() {
                let bad = format!("(d{place} IS NOT NULL AND w{place} IS NULL)");
                columns.push(Named::new(bad, format!("y{place}")));
            }
        }
        for (place, rule) in self.plan.rules.iter().enumerate() {
            let passes = self.over_values(&rule.passes, &self.names(), || format!("rule `{}`", rule.name))?;
            columns.push(Named::new(format!("({passes} <=> false)"), format!("t{place}")));
        }
        Ok(Layer::Project(columns))
    }

    /// `rejected`, `delivered`, `fail`.
    fn judged(&self) -> Layer {
        let mut columns = self.judged_from();
        let broken = any(self.derived_bad().chain(self.rules_with(&[Action::Reject])));
        columns.push(Named::new(format!("(bad OR (open AND {broken}))"), "rejected"));
        columns.push(Named::new(format!("(open AND NOT {broken})"), "delivered"));
        let first = self.plan.columns.len() + self.plan.derived.len();
        let of_columns = self.bad_with(OnBad::Fail).map(|place| format!(" WHEN x{place} THEN {place}"));
        let failing = self.plan.rules.iter().enumerate().filter(|(_, rule)| rule.action == Action::Fail);
        let of_rules = failing.map(|(place, _)| format!(" WHEN open AND t{place} THEN {}", first + place));
        let branches: String = of_columns.chain(of_rules).collect();
        let fail = if branches.is_empty() { "CAST(NULL AS INT)".to_owned() } else { format!("CASE{branches} END") };
        columns.push(Named::new(fail, "fail"));
        Layer::Project(columns)
    }

    fn observed() -> Layer {
        let failing = format!("CASE WHEN fail IS NOT NULL THEN {ROW} END");
        Layer::Observe {
            name: OBSERVED.to_owned(),
            metrics: vec![
                Named::new("count(1)", METRIC_ROWS),
                Named::new("count_if(delivered)", METRIC_DELIVERED),
                Named::new("count_if(rejected)", METRIC_REJECTED),
                Named::new("count_if(NOT delivered AND NOT rejected)", METRIC_FILTERED),
                Named::new(format!("min({failing})"), METRIC_FAIL_ROW),
                Named::new(format!("min_by(fail, {failing})"), METRIC_FAIL_WHAT),
            ],
        }
    }

    /// Nullifies and clamps delivered rows, rule by rule; and the names of the columns as they are afterwards. A layer takes as
    /// many rules as do not see each other's results.
    fn actions(&self) -> Result<(Vec<Layer>, Vec<String>), Refusal> {
        let mut names = self.names();
        let mut layers = Vec::new();
        let mut changes: Vec<(usize, String)> = Vec::new();
        for (place, rule) in self.plan.rules.iter().enumerate() {
            let Some(column) = rule.column.filter(|_| matches!(rule.action, Action::Nullify | Action::Clamp)) else {
                continue;
            };
            let sees = |changed: usize| {
                changed == column || rule.clamped.as_ref().is_some_and(|clamped| self.reads(clamped, changed))
            };
            if changes.iter().any(|(changed, _)| sees(*changed)) {
                layers.push(self.change(&mut names, &mut changes, layers.len()));
            }
            changes.push((column, self.changed(rule, place, column, &names)?));
        }
        if !changes.is_empty() {
            layers.push(self.change(&mut names, &mut changes, layers.len()));
        }
        Ok((layers, names))
    }

    fn reads(&self, expr: &Expr, column: usize) -> bool {
        expr.columns().iter().any(|name| self.place(name) == Some(column))
    }

    fn changed(&self, rule: &PlannedRule, place: usize, column: usize, names: &[String]) -> Result<String, Refusal> {
        let now = &names[column];
        let changed = match &rule.clamped {
            Some(clamped) => self.over_values(clamped, names, || format!("rule `{}`", rule.name))?,
            None => "NULL".to_owned(),
        };
        Ok(format!("CASE WHEN delivered AND t{place} THEN {changed} ELSE {now} END"))
    }

    fn change(&self, names: &mut [String], changes: &mut Vec<(usize, String)>, layer: usize) -> Layer {
        let mut columns = self.flags();
        columns.extend([Named::same("delivered"), Named::same("rejected")]);
        for (place, name) in names.iter_mut().enumerate() {
            match changes.iter().find(|(changed, _)| *changed == place) {
                Some((_, sql)) => {
                    *name = format!("a{layer}_{place}");
                    columns.push(Named::new(sql.clone(), name.clone()));
                }
                None => columns.push(Named::same(name.clone())),
            }
        }
        changes.clear();
        Layer::Project(columns)
    }

    fn output(&self, values: &[String]) -> Layer {
        let mut columns = vec![Named::same(ROW), Named::new(self.broken(), BROKEN)];
        for (place, from) in self.plan.output_from.iter().enumerate() {
            let value = match from {
                OutputFrom::Column(column) => &values[*column],
                OutputFrom::Derived(derived) => &values[self.plan.columns.len() + derived],
            };
            columns.push(Named::new(format!("CASE WHEN delivered THEN {value} END"), format!("o{place}")));
        }
        columns.push(Named::new(self.marks(), MARKS));
        Layer::Project(columns)
    }

    fn broken(&self) -> String {
        let derived = self.plan.columns.len();
        let rules = derived + self.plan.derived.len();
        let of_columns = self.bad_with(OnBad::Reject).map(|place| (format!("x{place}"), place.to_string()));
        let of_derived = self.derived_bad_places().map(|place| (format!("y{place}"), (derived + place).to_string()));
        let rejecting = self.plan.rules.iter().enumerate().filter(|(_, rule)| rule.action == Action::Reject);
        let of_rules = rejecting.map(|(place, _)| (format!("t{place}"), (rules + place).to_string()));
        listed("rejected", of_columns.chain(of_derived).chain(of_rules).collect(), "INT")
    }

    fn marks(&self) -> String {
        let mut marks = Vec::new();
        for (place, column) in self.plan.columns.iter().enumerate() {
            if self.bad[place] && column.on_bad == OnBad::Nullify {
                marks.push((format!("x{place}"), text(&column.bad_rule())));
            }
            if column.fill.is_some() {
                marks.push((format!("f{place}"), text(&column.fill_mark())));
            }
        }
        for (place, rule) in self.plan.rules.iter().enumerate() {
            match rule.action {
                Action::Nullify | Action::Clamp | Action::Warn => marks.push((format!("t{place}"), text(&rule.name))),
                Action::Reject | Action::Fail => {}
            }
        }
        listed("delivered", marks, "STRING")
    }

    /// What has been calculated of the typed columns.
    fn typed(&self) -> Vec<Named> {
        let mut columns = vec![Named::same(ROW)];
        for (place, column) in self.plan.columns.iter().enumerate() {
            columns.push(Named::same(format!("c{place}")));
            columns.extend(self.bad[place].then(|| Named::same(format!("x{place}"))));
            columns.extend(column.fill.as_ref().map(|_| Named::same(format!("f{place}"))));
        }
        columns
    }

    fn judged_from(&self) -> Vec<Named> {
        let mut columns = self.typed();
        columns.extend((0..self.plan.derived.len()).map(|place| Named::same(format!("w{place}"))));
        columns.extend(self.derived_bad().map(Named::same));
        columns.extend((0..self.plan.rules.len()).map(|place| Named::same(format!("t{place}"))));
        columns
    }

    /// What is told of a row, without its values.
    fn flags(&self) -> Vec<Named> {
        let value = |named: &Named| named.alias.starts_with(['c', 'w']);
        self.judged_from().into_iter().filter(|named| !value(named)).collect()
    }

    /// Identifiers of the typed columns, then of the derived ones.
    fn names(&self) -> Vec<String> {
        let typed = (0..self.plan.columns.len()).map(|place| format!("c{place}"));
        typed.chain((0..self.plan.derived.len()).map(|place| format!("w{place}"))).collect()
    }

    /// Place of a column among the typed and then the derived ones.
    fn place(&self, name: &str) -> Option<usize> {
        let typed = self.plan.columns.iter().map(|column| &column.name);
        typed.chain(self.plan.derived.iter().map(|column| &column.name)).position(|known| known == name)
    }

    fn over_values(&self, expr: &Expr, names: &[String], what: impl Fn() -> String) -> Result<String, Refusal> {
        if let Some(name) = expr.columns().into_iter().find(|name| self.place(name).is_none()) {
            return Err(Refusal { what: what(), reason: format!("column `{name}` is not among those of the plan") });
        }
        let name_of = |name: &str| self.place(name).map(|place| names[place].clone()).unwrap_or_default();
        emit(expr, &name_of).map_err(|reason| Refusal { what: what(), reason })
    }

    fn bad_with(&self, on_bad: OnBad) -> impl Iterator<Item = usize> {
        let columns = self.plan.columns.iter().enumerate();
        columns.filter(move |(place, column)| self.bad[*place] && column.on_bad == on_bad).map(|(place, _)| place)
    }

    fn derived_bad_places(&self) -> impl Iterator<Item = usize> {
        self.plan.derived.iter().enumerate().filter(|(_, derived)| derived.value.is_some()).map(|(place, _)| place)
    }

    fn derived_bad(&self) -> impl Iterator<Item = String> {
        self.derived_bad_places().map(|place| format!("y{place}"))
    }

    fn rules_with(&self, actions: &'static [Action]) -> impl Iterator<Item = String> {
        let rules = self.plan.rules.iter().enumerate();
        rules.filter(|(_, rule)| actions.contains(&rule.action)).map(|(place, _)| format!("t{place}"))
    }
}

fn any(conditions: impl Iterator<Item = String>) -> String {
    let conditions: Vec<String> = conditions.collect();
    if conditions.is_empty() { "false".to_owned() } else { format!("({})", conditions.join(" OR ")) }
}

/// The values whose conditions hold, for rows of an outcome; NULL for the others, and where none holds.
fn listed(outcome: &str, values: Vec<(String, String)>, of: &str) -> String {
    if values.is_empty() {
        return format!("CAST(NULL AS ARRAY<{of}>)");
    }
    let items: Vec<String> =
        values.iter().map(|(condition, value)| format!("CASE WHEN {condition} THEN {value} END")).collect();
    let any = any(values.into_iter().map(|(condition, _)| condition));
    format!("CASE WHEN {outcome} AND {any} THEN array_compact(array({})) END", items.join(", "))
}
