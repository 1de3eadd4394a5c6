//! A thin client of [Spark Connect](https://spark.apache.org/spark-connect/), the protocol by which programs have Apache Spark execute queries.
//!
//! It is for programs that want a result whole or an error, and rows as Arrow batches with memory that does not grow with the result.
//! Tried with Spark 4.3.
//!
//! ```no_run
//! use spark_connect::{Endpoint, Expression, Options, Order, Plan, Relation, Session};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::parse("sc://localhost:15002")?;
//! let session = Session::connect(&endpoint, &Options::default()).await?;
//! session.set(&[("spark.sql.session.timeZone", "UTC")]).await?;
//!
//! let trips = Relation::read_parquet(["/data/trips"], Some("id BIGINT, fare DOUBLE"), [("mergeSchema", "false")])
//!     .filter("fare > 0")
//!     .observe("kept", [Expression::sql("count(*)").named("rows")])
//!     .project([Expression::sql("id"), Expression::sql("round(fare, 1)").named("fare")])
//!     .sort([Order::ascending("id")]);
//! let mut execution = session.execute(Plan::from(trips));
//! while let Some(batch) = execution.next().await? {
//!     println!("{} rows", batch.num_rows());
//! }
//! println!("{:?}", execution.metrics()["kept"]["rows"]);
//! session.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it does for its callers
//!
//! - **A result is whole or an error.** Servers end a stream of responses after some minutes or some bytes, in the middle of a result. The
//!   client goes on behind the last response until the server says that the result is complete, and checks that rows follow each other without
//!   a gap.
//! - **Breaks pass.** A lost connection or a server that is away for a while is tried again, with growing pauses and an end; the server keeps what
//!   was not received. A server that was started anew has lost the session: [`Error::SessionLost`].
//! - **Memory is bounded.** A response is read when it is asked for; see [`Options::window_bytes`]. (The *server* holds a result whole.)
//! - **Errors can be told apart**: [`Error`] says what the caller can do, and carries Spark's name for the condition.
//! - **Tokens stay secret**: never shown, and never sent in plain text to another machine.
//!
//! # What it never does
//!
//! It spawns no tasks of its own (the HTTP/2 connection has one), keeps no global state, reads no environment variables, and executes nothing
//! twice: what may have begun is asked to go on, and begun again only if the server does not know of it.

mod endpoint;
mod error;
mod execution;
mod failure;
mod options;
mod pause;
mod plan;
mod proto;
mod session;
mod value;
mod wire;

pub use endpoint::{Endpoint, EndpointError};
pub use error::Error;
pub use execution::{Execution, Metrics};
pub use options::Options;
pub use plan::{Expression, Nulls, Order, Plan, Relation, SaveMode};
pub use session::Session;
pub use value::Value;
