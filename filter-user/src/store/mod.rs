//! The database: the policy rows that it shares with Kamailio, and our own tables.
//!
//! [`Store`] (`facade`) is an open database. Each table has a file (`policy_table`, `entry_table`, `event_table`,
//! `node_table`, `cluster_table`) with what is read from it and written to it, the same for SQLite, MySQL and
//! PostgreSQL. The meaning of the contents for a host is computed without a database: by `rows` and `entries`, which
//! `interpretation` and `reading` put together.
//!
//! The databases differ in their SQL (`dialect`), their drivers (`connection`), their schema (`schema`, `migrations`)
//! and the way in which a change is noticed (`watch`, for files by `sqlite`, for servers by `server`).
#![forbid(unsafe_code)]

mod cluster_table;
mod connection;
mod dialect;
mod entries;
mod entry_table;
mod error;
mod event_table;
mod facade;
mod file;
mod if_missing;
mod inspection;
mod interpretation;
mod list_names;
mod migrations;
mod node_table;
mod outside;
mod policy_table;
mod reading;
pub mod rows;
mod schema;
mod server;
mod sqlite;
#[cfg(test)]
mod sqlite3_tool;
mod timeout;
mod url;
mod watch;

pub use self::entries::Lists;
pub use self::error::{Error, Recovery};
pub use self::facade::Store;
pub use self::if_missing::IfMissing;
pub use self::inspection::{Inspection, inspect};
pub use self::interpretation::Interpretation;
pub use self::reading::Reading;
pub use self::rows::Row;
#[cfg(test)]
pub(crate) use self::sqlite3_tool::sqlite3;
pub use self::url::{DatabaseUrl, DatabaseUrlError, DisplayUrl, GivenUrl};

#[cfg(test)]
mod tests;
