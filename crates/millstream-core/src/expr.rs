//! The expression tree of cleaning: small, closed, fully typed, the same for every engine.
//!
//! What is decided about values is decided here, once; an emitter for an engine only translates node by node. No node
//! raises an error while rows flow: what has no result is NULL.
//!
//! # Semantics
//! - **Comparison** of two values of the same type; NULL if one is NULL. Floats: -0.0 equals 0.0; NaN equals NaN and is
//!   greater than all other values. Text by its bytes. FALSE sorts before TRUE.
//! - **Logic** has three values, as in SQL.
//! - **Arithmetic**. Integers are calculated as int64, and a result that does not fit is NULL. Decimals (and integers next to
//!   them) exactly, in `decimal(max(p1-s1,p2-s2)+max(s1,s2)+1, max(s1,s2))` for `+` and `-` and `decimal(p1+p2+1, s1+s2)`
//!   for `*`; more than 38 digits are refused when the text is read. With a float on one side both are float64. `/` is
//!   always float64, and NULL where the divisor is 0.
//! - **Cast** is a bare try-cast between the pairs named at [`Expr::Cast`], for which engines agree; all others go through
//!   [`convert`], which gates first.
//! - **Regular expressions** are of the portable kind of [`pattern`], found anywhere in the text.

pub mod build;
pub mod convert;
pub mod formats;
pub mod functions;
mod interval;
pub mod literal;
pub mod parse;
pub mod pattern;

use thiserror::Error;

use self::functions::Function;
use self::literal::Literal;
use self::pattern::Pattern;
use crate::config::clean::CompareOp;
use crate::types::{ColumnType, ValueType};

/// An expression. Operands have the types that the node asks for; [`build`] makes them so.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A column of the scope, or a field in it.
    Column(ColumnRef),
    /// A value, maybe NULL of a type.
    Literal(Literal),
    /// NULL of no type yet; [`build`] gives it one where a type is needed.
    Null,
    /// A bare try-cast: NULL where the value does not fit.
    ///
    /// Engines agree on: integer to integer, float, decimal, text; float32 to float64; float64 to float32; float to
    /// integer of integral values inside of the type's range; float to decimal of values that times 10^scale, a product in
    /// float64, stay below 2^53 (rounded half away from zero); decimal to decimal (half away from zero), float64 (the digits
    /// as float64, divided by 10^scale in float64), integer of integral values,
    /// text; boolean to integer and text; date to timestamp and text; timestamp to date; text to integer, float64,
    /// decimal, date, timestamp once its form is gated; text to binary.
    Cast {
        /// What is cast.
        expr: Box<Expr>,
        /// To which type.
        to: ColumnType,
    },
    /// A time moved by microseconds; the caller keeps it in range.
    Shift {
        /// A timestamp.
        expr: Box<Expr>,
        /// Added to it.
        micros: i64,
    },
    /// Comparison of two operands of the same type.
    Compare {
        /// Operator.
        op: CompareOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// All of them; TRUE if there is none.
    And(Vec<Expr>),
    /// Any of them; FALSE if there is none.
    Or(Vec<Expr>),
    /// Negation.
    Not(Box<Expr>),
    /// Whether it is NULL; never NULL itself.
    IsNull(Box<Expr>),
    /// Whether it equals one of the values, none of which is NULL.
    InList {
        /// What is looked for.
        expr: Box<Expr>,
        /// Values of the same type, at least one.
        list: Vec<Literal>,
    },
    /// SQL `LIKE`, case-sensitive, without an escape character; the pattern holds no backslash.
    Like {
        /// A text.
        expr: Box<Expr>,
        /// With `%` and `_`.
        pattern: String,
    },
    /// Whether the text matches somewhere.
    Matches {
        /// A text.
        expr: Box<Expr>,
        /// What is looked for.
        pattern: Pattern,
    },
    /// The text with the first match of the pattern rewritten. Used with patterns that match the whole text.
    Rewrite {
        /// A text.
        expr: Box<Expr>,
        /// With numbered groups.
        pattern: Pattern,
        /// What takes the place of the match.
        template: Vec<Piece>,
    },
    /// Calculation with two operands of the type that [`Expr::Arithmetic::of`] asks for: int64, float64, or decimals that
    /// may differ in digits.
    Arithmetic {
        /// Operator.
        op: ArithmeticOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// Type of the result: int64, float64 or decimal.
        of: ColumnType,
    },
    /// The result of the first branch whose condition is TRUE, else of `otherwise`, else NULL.
    Case {
        /// Conditions and results, at least one; all results have the same type.
        branches: Vec<(Expr, Expr)>,
        /// What holds if no condition is TRUE.
        otherwise: Option<Box<Expr>>,
    },
    /// A function of the closed list.
    Call {
        /// Which.
        function: Function,
        /// Operands.
        args: Vec<Expr>,
    },
}

/// A column of the scope, or a field in a struct column; NULL if a struct on the way is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnRef {
    /// Name of the column, then of each field.
    pub path: Vec<String>,
    /// Type of the value.
    pub value_type: ValueType,
}

/// A piece of a rewritten text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(String),
    /// What the group matched, empty if it took no part.
    Group(usize),
}

/// Operator of a calculation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`, always float64.
    Divide,
}

/// Why a piece of SQL, or an expression made for a rule, is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SqlRefusal {
    /// It is no SQL expression.
    #[error("`{sql}` is not read as an SQL expression: {reason}")]
    Syntax {
        /// As written.
        sql: String,
        /// What the parser says.
        reason: String,
    },
    /// A column that is not there.
    #[error("column `{name}` is not there{}", hint.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownColumn {
        /// As written.
        name: String,
        /// A name that is near.
        hint: Option<String>,
    },
    /// A function outside of the list.
    #[error("function `{name}` is not in the list that all engines compute alike: {}", functions::NAMES)]
    UnknownFunction {
        /// As written.
        name: String,
    },
    /// Something that SQL has and this tree has not.
    #[error("`{what}` is not supported here{}", if way_out.is_empty() { String::new() } else { format!("; {way_out}") })]
    Unsupported {
        /// As written.
        what: String,
        /// What to write in its place, may be empty.
        way_out: &'static str,
    },
    /// Types that do not go together.
    #[error("{0}")]
    Types(String),
}

impl Expr {
    /// A top-level column.
    #[must_use]
    pub fn column(name: &str, value_type: ValueType) -> Self {
        Self::Column(ColumnRef { path: vec![name.to_owned()], value_type })
    }

    /// The value of a literal.
    #[must_use]
    pub fn literal(literal: Literal) -> Self {
        Self::Literal(literal)
    }

    /// A bare cast.
    #[must_use]
    pub fn cast(self, to: ColumnType) -> Self {
        Self::Cast { expr: Box::new(self), to }
    }

    /// `CASE WHEN condition THEN self END`.
    #[must_use]
    pub fn only_if(self, condition: Self) -> Self {
        Self::Case { branches: vec![(condition, self)], otherwise: None }
    }

    /// Negation.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Whether it is NULL.
    #[must_use]
    pub fn is_null(self) -> Self {
        Self::IsNull(Box::new(self))
    }

    /// Comparison of two expressions of the same type.
    #[must_use]
    pub fn compare(op: CompareOp, left: Self, right: Self) -> Self {
        Self::Compare { op, left: Box::new(left), right: Box::new(right) }
    }

    /// Type of its values.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        let scalar = match self {
            Self::Column(column) => return column.value_type.clone(),
            Self::Null => return ValueType::Null,
            Self::Literal(literal) => literal.column_type,
            Self::Cast { to, .. } => *to,
            Self::Shift { .. } => ColumnType::Timestamp,
            Self::Compare { .. }
            | Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::IsNull(_)
            | Self::InList { .. }
            | Self::Like { .. }
            | Self::Matches { .. } => ColumnType::Boolean,
            Self::Rewrite { .. } => ColumnType::Text,
            Self::Arithmetic { of, .. } => *of,
            Self::Case { branches, otherwise } => {
                return branches
                    .iter()
                    .map(|(_, result)| result)
                    .chain(otherwise.as_deref())
                    .map(Self::value_type)
                    .find(|value_type| *value_type != ValueType::Null)
                    .unwrap_or(ValueType::Null);
            }
            Self::Call { function, args } => return function.value_type(args),
        };
        ValueType::Scalar(scalar)
    }

    /// Names of the top-level columns that it reads, each once, in order of appearance.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.visit_columns(&mut |column| {
            if let Some(name) = column.path.first()
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        });
        names
    }

    fn visit_columns<'a>(&'a self, visit: &mut impl FnMut(&'a ColumnRef)) {
        match self {
            Self::Column(column) => visit(column),
            Self::Literal(_) | Self::Null => {}
            Self::Cast { expr, .. }
            | Self::Shift { expr, .. }
            | Self::Not(expr)
            | Self::IsNull(expr)
            | Self::InList { expr, .. }
            | Self::Like { expr, .. }
            | Self::Matches { expr, .. }
            | Self::Rewrite { expr, .. } => expr.visit_columns(visit),
            Self::Compare { left, right, .. } | Self::Arithmetic { left, right, .. } => {
                left.visit_columns(visit);
                right.visit_columns(visit);
            }
            Self::And(parts) | Self::Or(parts) | Self::Call { args: parts, .. } => {
                for part in parts {
                    part.visit_columns(visit);
                }
            }
            Self::Case { branches, otherwise } => {
                for (condition, result) in branches {
                    condition.visit_columns(visit);
                    result.visit_columns(visit);
                }
                if let Some(otherwise) = otherwise {
                    otherwise.visit_columns(visit);
                }
            }
        }
    }
}

/// The columns that an expression may name.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    columns: Vec<(String, ValueType)>,
}

impl Scope {
    /// A scope of these columns.
    #[must_use]
    pub fn new(columns: Vec<(String, ValueType)>) -> Self {
        Self { columns }
    }

    /// Finds a column by its name, or `a.b` as field `b` of struct column `a`. A column that only holds NULL is [`Expr::Null`].
    ///
    /// # Errors
    /// If it is not there, with a near name.
    pub fn column(&self, name: &str) -> Result<Expr, SqlRefusal> {
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        let hint = self.columns.iter().map(|(known, _)| known).min_by_key(|known| distance(known, name));
        let hint = hint.filter(|near| distance(near, name) <= 2.max(name.chars().count() / 4)).cloned();
        Err(SqlRefusal::UnknownColumn { name: name.to_owned(), hint })
    }

    fn find(&self, name: &str) -> Option<Expr> {
        for (column, value_type) in &self.columns {
            if column == name {
                return Some(reference(vec![column.clone()], value_type.clone()));
            }
            let Some(rest) = name.strip_prefix(column.as_str()).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let mut path = vec![column.clone()];
            let mut at = value_type;
            for part in rest.split('.') {
                let ValueType::Struct(fields) = at else { return None };
                at = fields.iter().find(|(field, _)| field == part).map(|(_, field_type)| field_type)?;
                path.push(part.to_owned());
            }
            return Some(reference(path, at.clone()));
        }
        None
    }
}

fn reference(path: Vec<String>, value_type: ValueType) -> Expr {
    if value_type == ValueType::Null { Expr::Null } else { Expr::Column(ColumnRef { path, value_type }) }
}

/// Edits between two names, case aside.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.to_lowercase(), right.to_lowercase());
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, to) in right.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.chars().count()]
}
