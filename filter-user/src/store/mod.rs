//! The database: the policy rows that it shares with Kamailio, and our own tables.
//!
//! [`Store`] (`facade`) is an open database. Each table has a file (`policy_table`, `exemption_table`, `event_table`,
//! `node_table`, `cluster_table`) with what is read from it and written to it, the same for SQLite, MySQL and
//! PostgreSQL. Their meaning for a host is found without a database: `rows` and `entries`, put together by
//! `interpretation` and `reading`.
//!
//! The databases differ in their SQL (`dialect`), their drivers (`connection`), their schema (`schema`, `migrations`)
//! and the way in which a change is noticed (`watch`, for files by `sqlite`, for servers by `server`).

mod cluster_table;
mod connection;
mod dialect;
mod entries;
mod error;
mod event_table;
mod exemption_table;
mod facade;
mod file;
mod if_missing;
mod inspection;
mod interpretation;
mod migrations;
mod node_table;
mod outside;
mod policy_table;
mod reading;
pub mod rows;
mod schema;
mod server;
mod sqlite;
mod timeout;
mod url;
mod watch;

pub use self::error::{Error, Recovery};
pub use self::facade::Store;
pub use self::if_missing::IfMissing;
pub use self::inspection::{Inspection, inspect};
pub use self::interpretation::Interpretation;
pub use self::reading::Reading;
pub use self::rows::Row;
pub use self::url::{DatabaseUrl, DatabaseUrlError, DisplayUrl, GivenUrl};

#[cfg(test)]
mod tests;
