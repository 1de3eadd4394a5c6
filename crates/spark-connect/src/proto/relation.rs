//! Plans: relations, expressions and the one command that writes.

/// What to execute.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Plan {
    #[prost(oneof = "Operation", tags = "1, 2")]
    pub operation: Option<Operation>,
}

/// A query or a command.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Operation {
    #[prost(message, tag = "1")]
    Root(Relation),
    #[prost(message, tag = "2")]
    Command(Box<Command>),
}

/// Something done for its effect.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Command {
    #[prost(oneof = "CommandKind", tags = "2, 5")]
    pub kind: Option<CommandKind>,
}

/// The commands that are known here.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum CommandKind {
    #[prost(message, tag = "2")]
    Write(WriteOperation),
    #[prost(message, tag = "5")]
    Sql(SqlCommand),
}

/// Writes a relation to files.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WriteOperation {
    #[prost(message, optional, tag = "1")]
    pub input: Option<Relation>,
    #[prost(string, optional, tag = "2")]
    pub source: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub path: Option<String>,
    #[prost(int32, tag = "5")]
    pub mode: i32,
    #[prost(btree_map = "string, string", tag = "9")]
    pub options: std::collections::BTreeMap<String, String>,
}

/// A statement that is carried out at once.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SqlCommand {
    #[prost(message, optional, tag = "6")]
    pub input: Option<Relation>,
}

/// A node of a query, with its inputs inside.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Relation {
    #[prost(message, optional, tag = "1")]
    pub common: Option<RelationCommon>,
    #[prost(oneof = "RelationKind", tags = "2, 3, 4, 7, 8, 10, 27, 29")]
    pub kind: Option<RelationKind>,
}

/// What every relation has.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RelationCommon {
    #[prost(int64, optional, tag = "2")]
    pub plan_id: Option<i64>,
}

/// The relations that are known here.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum RelationKind {
    #[prost(message, tag = "2")]
    Read(Read),
    #[prost(message, tag = "3")]
    Project(Box<Project>),
    #[prost(message, tag = "4")]
    Filter(Box<Filter>),
    #[prost(message, tag = "7")]
    Sort(Box<Sort>),
    #[prost(message, tag = "8")]
    Limit(Box<Limit>),
    #[prost(message, tag = "10")]
    Sql(Sql),
    #[prost(message, tag = "27")]
    Repartition(Box<RepartitionByExpression>),
    #[prost(message, tag = "29")]
    Observe(Box<CollectMetrics>),
}

/// Rows of a data source.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Read {
    #[prost(message, optional, tag = "2")]
    pub data_source: Option<DataSource>,
}

/// Files of one format.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DataSource {
    #[prost(string, optional, tag = "1")]
    pub format: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub schema: Option<String>,
    #[prost(btree_map = "string, string", tag = "3")]
    pub options: std::collections::BTreeMap<String, String>,
    #[prost(string, repeated, tag = "4")]
    pub paths: Vec<String>,
}

/// A query as text.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Sql {
    #[prost(string, tag = "1")]
    pub query: String,
}

/// `SELECT`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Project {
    #[prost(message, optional, tag = "1")]
    pub input: Option<Relation>,
    #[prost(message, repeated, tag = "3")]
    pub expressions: Vec<Expression>,
}

/// `WHERE`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Filter {
    #[prost(message, optional, tag = "1")]
    pub input: Option<Relation>,
    #[prost(message, optional, tag = "2")]
    pub condition: Option<Expression>,
}

/// `ORDER BY`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Sort {
    #[prost(message, optional, tag = "1")]
    pub input: Option<Relation>,
    #[prost(message, repeated, tag = "2")]
    pub order: Vec<SortOrder>,
    #[prost(bool, optional, tag = "3")]
    pub is_global: Option<bool>,
}

/// `LIMIT`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Limit {
    #[prost(message, optional, tag = "1")]
    pub input: Option<Relation>,
    #[prost(int32, tag = "2")]
    pub limit: i32,
}

/// Other partitions; by range when the expressions are sort orders.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RepartitionByExpression {
    #[prost(message, optional, tag = "1")]
    pub input: Option<Relation>,
    #[prost(message, repeated, tag = "2")]
    pub expressions: Vec<Expression>,
    #[prost(int32, optional, tag = "3")]
    pub partitions: Option<i32>,
}

/// Aggregates taken on the way.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct CollectMetrics {
    #[prost(message, optional, tag = "1")]
    pub input: Option<Relation>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "3")]
    pub metrics: Vec<Expression>,
}

/// A value of each row.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Expression {
    #[prost(oneof = "ExpressionKind", tags = "4, 6, 9")]
    pub kind: Option<ExpressionKind>,
}

/// The expressions that are known here: everything else is SQL text.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ExpressionKind {
    #[prost(message, tag = "4")]
    Text(ExpressionString),
    #[prost(message, tag = "6")]
    Alias(Box<Alias>),
    #[prost(message, tag = "9")]
    Order(Box<SortOrder>),
}

/// SQL text that the server parses.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExpressionString {
    #[prost(string, tag = "1")]
    pub expression: String,
}

/// A name for an expression.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Alias {
    #[prost(message, optional, boxed, tag = "1")]
    pub expression: Option<Box<Expression>>,
    #[prost(string, repeated, tag = "2")]
    pub name: Vec<String>,
}

/// A key to sort by.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SortOrder {
    #[prost(message, optional, boxed, tag = "1")]
    pub child: Option<Box<Expression>>,
    #[prost(int32, tag = "2")]
    pub direction: i32,
    #[prost(int32, tag = "3")]
    pub nulls: i32,
}
