//! Parquet that nobody vouches for: what a file declares, looked at before a library that believes it does.
//!
//! [`footer`] looks at the bytes of a footer, [`pages`] at those of a column chunk. Neither allocates by what a file says, and
//! neither panics over any bytes.

mod compact;
pub mod footer;
pub mod pages;

#[cfg(test)]
mod tests;
