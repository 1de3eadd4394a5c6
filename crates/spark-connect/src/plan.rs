//! What to execute: relations are built from their source on, expressions are SQL text that the server parses.

use std::fmt;

use crate::proto::relation as proto;

/// A query or a command, to be given to [`Session::execute`](crate::Session::execute).
#[derive(Debug, Clone, PartialEq)]
pub struct Plan(pub(crate) proto::Plan);

/// What a write does where there is something already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveMode {
    /// Adds files.
    Append,
    /// Removes what is there first.
    Overwrite,
    /// Fails.
    ErrorIfExists,
    /// Writes nothing, and is content.
    Ignore,
}

impl Plan {
    /// Writes the rows as Parquet files into the folder `path`, as the cluster sees it.
    ///
    /// Once the execution has ended without an error all files are there, and so is the mark `_SUCCESS`.
    #[must_use]
    pub fn write_parquet<K: Into<String>, V: Into<String>>(
        relation: Relation,
        path: impl Into<String>,
        mode: SaveMode,
        options: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let write = proto::WriteOperation {
            input: Some(relation.0),
            source: Some("parquet".to_owned()),
            path: Some(path.into()),
            mode: mode.number(),
            options: texts(options),
        };
        Self::command(proto::CommandKind::Write(write))
    }

    /// Carries a statement out (`CREATE TABLE …`, `CALL …`) whose result is of no interest. For queries there is [`Relation::sql`].
    #[must_use]
    pub fn statement(text: impl Into<String>) -> Self {
        Self::command(proto::CommandKind::Sql(proto::SqlCommand { input: Some(Relation::sql(text).0) }))
    }

    fn command(kind: proto::CommandKind) -> Self {
        let command = proto::Command { kind: Some(kind) };
        Self(proto::Plan { operation: Some(proto::Operation::Command(Box::new(command))) })
    }
}

impl From<Relation> for Plan {
    fn from(relation: Relation) -> Self {
        Self(proto::Plan { operation: Some(proto::Operation::Root(relation.0)) })
    }
}

impl SaveMode {
    const fn number(self) -> i32 {
        match self {
            Self::Append => 1,
            Self::Overwrite => 2,
            Self::ErrorIfExists => 3,
            Self::Ignore => 4,
        }
    }
}

/// Rows, and what is done to them. Nothing happens before it is executed.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation(proto::Relation);

impl Relation {
    /// The rows of a query.
    #[must_use]
    pub fn sql(query: impl Into<String>) -> Self {
        Self::first(proto::RelationKind::Sql(proto::Sql { query: query.into() }))
    }

    /// The rows of Parquet files or folders, as the cluster sees them. The schema, as DDL (`a INT, b STRING`) or as Spark's JSON, is taken as
    /// it is; without one the server looks into the files.
    #[must_use]
    pub fn read_parquet<P: Into<String>, K: Into<String>, V: Into<String>>(
        paths: impl IntoIterator<Item = P>,
        schema: Option<&str>,
        options: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let source = proto::DataSource {
            format: Some("parquet".to_owned()),
            schema: schema.map(ToOwned::to_owned),
            options: texts(options),
            paths: paths.into_iter().map(Into::into).collect(),
        };
        Self::first(proto::RelationKind::Read(proto::Read { data_source: Some(source) }))
    }

    /// These columns instead of those that are there.
    #[must_use]
    pub fn project<E: Into<Expression>>(self, expressions: impl IntoIterator<Item = E>) -> Self {
        let expressions = expressions.into_iter().map(|expression| expression.into().into_proto()).collect();
        self.then(|input| proto::RelationKind::Project(Box::new(proto::Project { input: Some(input), expressions })))
    }

    /// The rows for which the condition is true.
    #[must_use]
    pub fn filter(self, condition: impl Into<Expression>) -> Self {
        let condition = Some(condition.into().into_proto());
        self.then(|input| proto::RelationKind::Filter(Box::new(proto::Filter { input: Some(input), condition })))
    }

    /// All rows in this order.
    #[must_use]
    pub fn sort(self, order: impl IntoIterator<Item = Order>) -> Self {
        let order = order.into_iter().map(Order::into_proto).collect();
        let is_global = Some(true);
        self.then(|input| proto::RelationKind::Sort(Box::new(proto::Sort { input: Some(input), order, is_global })))
    }

    /// At most `rows` rows.
    #[must_use]
    pub fn limit(self, rows: u32) -> Self {
        let limit = i32::try_from(rows).unwrap_or(i32::MAX);
        self.then(|input| proto::RelationKind::Limit(Box::new(proto::Limit { input: Some(input), limit })))
    }

    /// Aggregates of the rows that pass here, to be had from [`Execution::metrics`](crate::Execution::metrics) at the end. The name occurs once
    /// in a plan; each expression is an aggregate and has a name of its own.
    #[must_use]
    pub fn observe<E: Into<Expression>>(
        self,
        name: impl Into<String>,
        expressions: impl IntoIterator<Item = E>,
    ) -> Self {
        let metrics = expressions.into_iter().map(|expression| expression.into().into_proto()).collect();
        let name = name.into();
        self.then(|input| {
            proto::RelationKind::Observe(Box::new(proto::CollectMetrics { input: Some(input), name, metrics }))
        })
    }

    /// The rows in partitions that each hold a range of the keys.
    #[must_use]
    pub fn repartition_by_range(self, partitions: u32, order: impl IntoIterator<Item = Order>) -> Self {
        let expressions = order.into_iter().map(Order::into_expression).collect();
        let partitions = Some(i32::try_from(partitions).unwrap_or(i32::MAX));
        self.then(|input| {
            let repartition = proto::RepartitionByExpression { input: Some(input), expressions, partitions };
            proto::RelationKind::Repartition(Box::new(repartition))
        })
    }

    fn first(kind: proto::RelationKind) -> Self {
        Self::numbered(kind, 0)
    }

    fn then(self, node: impl FnOnce(proto::Relation) -> proto::RelationKind) -> Self {
        let number = self.0.common.as_ref().and_then(|common| common.plan_id).map_or(0, |number| number + 1);
        Self::numbered(node(self.0), number)
    }

    /// Each node has its own number: the server keeps observations by it.
    fn numbered(kind: proto::RelationKind, number: i64) -> Self {
        let common = proto::RelationCommon { plan_id: Some(number) };
        Self(proto::Relation { common: Some(common), kind: Some(kind) })
    }
}

/// A value of each row, or an aggregate: SQL text, and perhaps a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    text: String,
    name: Option<String>,
}

impl Expression {
    /// An expression of Spark SQL.
    #[must_use]
    pub fn sql(text: impl Into<String>) -> Self {
        Self { text: text.into(), name: None }
    }

    /// The same under a name, which is taken letter by letter and needs no quotes.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    fn into_proto(self) -> proto::Expression {
        let text = proto::ExpressionString { expression: self.text };
        let expression = proto::Expression { kind: Some(proto::ExpressionKind::Text(text)) };
        let Some(name) = self.name else { return expression };
        let alias = proto::Alias { expression: Some(Box::new(expression)), name: vec![name] };
        proto::Expression { kind: Some(proto::ExpressionKind::Alias(Box::new(alias))) }
    }
}

impl<T: Into<String>> From<T> for Expression {
    fn from(text: T) -> Self {
        Self::sql(text)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "{} AS {name}", self.text),
            None => formatter.write_str(&self.text),
        }
    }
}

/// A key to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    expression: Expression,
    ascending: bool,
    nulls: Nulls,
}

/// Where rows without a key stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
}

impl Order {
    /// Smallest first, rows without a key before all.
    #[must_use]
    pub fn ascending(expression: impl Into<Expression>) -> Self {
        Self { expression: expression.into(), ascending: true, nulls: Nulls::First }
    }

    /// Largest first, rows without a key behind all.
    #[must_use]
    pub fn descending(expression: impl Into<Expression>) -> Self {
        Self { expression: expression.into(), ascending: false, nulls: Nulls::Last }
    }

    /// The same with another place for rows without a key.
    #[must_use]
    pub fn nulls(self, nulls: Nulls) -> Self {
        Self { nulls, ..self }
    }

    fn into_proto(self) -> proto::SortOrder {
        proto::SortOrder {
            child: Some(Box::new(self.expression.into_proto())),
            direction: if self.ascending { 1 } else { 2 },
            nulls: match self.nulls {
                Nulls::First => 1,
                Nulls::Last => 2,
            },
        }
    }

    fn into_expression(self) -> proto::Expression {
        proto::Expression { kind: Some(proto::ExpressionKind::Order(Box::new(self.into_proto()))) }
    }
}

fn texts<K: Into<String>, V: Into<String>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> std::collections::BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}
