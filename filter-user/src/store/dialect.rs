//! Where the SQL of the three databases differs.

use std::fmt::Write as _;

use crate::domain::TableName;

/// The SQL of one kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
    Postgres,
}

impl Dialect {
    /// A statement of ours, in which `?` stands for a value (and for nothing else).
    pub(super) fn statement(self, statement: &str) -> String {
        if self != Self::Postgres {
            return statement.to_owned();
        }
        let mut numbered = String::with_capacity(statement.len() + 8);
        let mut parts = statement.split('?');
        numbered.push_str(parts.next().unwrap_or_default());
        for (index, part) in parts.enumerate() {
            // Writing into a String cannot fail.
            let _ = write!(numbered, "${}{part}", index + 1);
        }
        numbered
    }

    /// The policy table's name, as it stands in a statement.
    ///
    /// Kamailio writes it without quotes, which PostgreSQL takes for lower case.
    pub(super) fn table(self, table: &TableName) -> String {
        match self {
            Self::Sqlite => format!(r#""{table}""#),
            Self::MySql => format!("`{table}`"),
            Self::Postgres => format!(r#""{}""#, table.as_str().to_ascii_lowercase()),
        }
    }

    /// The octets of a text, in UTF-8; also those of a column of another type.
    ///
    /// Two of them are equal only if all their octets are: MySQL's `key_name = 'maint'` is true of `Maint` and of `maint `
    /// too, and so may SQLite's be of a column with NOCASE.
    pub(super) fn octets(self, expression: &str) -> String {
        match self {
            Self::Sqlite => format!("CAST({expression} AS BLOB)"),
            Self::MySql => format!("CAST(CONVERT({expression} USING utf8mb4) AS BINARY)"),
            Self::Postgres => format!("convert_to(CAST({expression} AS TEXT), 'UTF8')"),
        }
    }

    /// A number of 64 bits.
    pub(super) fn number(self, expression: &str) -> String {
        let kind = match self {
            Self::Sqlite => "INTEGER",
            Self::MySql => "SIGNED",
            Self::Postgres => "BIGINT",
        };
        format!("CAST({expression} AS {kind})")
    }

    /// The condition that a column is the next value, octet by octet.
    pub(super) fn is(self, column: &str) -> String {
        format!("{} = {}", self.octets(column), self.octets("?"))
    }

    /// The database's own clock, in milliseconds of Unix time: the same for all hosts.
    pub(super) fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
            Self::MySql => "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    pub(super) fn begin_reading(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::MySql => "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    pub(super) fn begin_writing(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::MySql => "START TRANSACTION",
            Self::Postgres => "BEGIN",
        }
    }

    /// What holds up others of us who want to write: a row that is always there. The policy table itself is left
    /// open to its other users. SQLite has locked the whole file by then.
    pub(super) fn lock(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::MySql | Self::Postgres => {
                Some("SELECT version FROM sip_filter_migration WHERE version = 1 FOR UPDATE")
            }
        }
    }

    /// The columns of the policy table: its name in lower case, and whether an INSERT may leave it out because it
    /// counts by itself. The value is the table's name.
    pub(super) fn columns(self) -> &'static str {
        match self {
            // SQLite may be given an id that would count by itself, at no harm.
            Self::Sqlite => "SELECT CAST(lower(name) AS BLOB), 0 FROM pragma_table_info(?)",
            Self::MySql => {
                "SELECT CAST(CONVERT(LOWER(column_name) USING utf8mb4) AS BINARY),
                        CAST(extra LIKE '%auto_increment%' AS SIGNED)
                 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?"
            }
            // A sequence has to go on by itself: an id that was given would be taken when it gets there.
            Self::Postgres => {
                "SELECT convert_to(lower(a.attname), 'UTF8'), CAST(CASE WHEN a.attidentity <> '' OR EXISTS
                        (SELECT 1 FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
                         AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval%') THEN 1 ELSE 0 END AS BIGINT)
                 FROM pg_attribute a
                 WHERE a.attrelid = to_regclass(quote_ident(lower(?))) AND a.attnum > 0 AND NOT a.attisdropped"
            }
        }
    }

    /// Deletes all rows but one of those for which `is` (with one value) is true; there are `count` of them.
    pub(super) fn delete_surplus(self, table: &str, is: &str, count: i64) -> String {
        match self {
            Self::Sqlite => {
                format!("DELETE FROM {table} WHERE {is} AND rowid <> (SELECT MIN(rowid) FROM {table} WHERE {is})")
            }
            Self::MySql => format!("DELETE FROM {table} WHERE {is} LIMIT {}", count - 1),
            Self::Postgres => {
                format!("DELETE FROM {table} WHERE {is} AND ctid <> (SELECT ctid FROM {table} WHERE {is} LIMIT 1)")
            }
        }
    }

    /// How many values [`delete_surplus`](Self::delete_surplus) takes.
    pub(super) fn surplus_values(self) -> usize {
        match self {
            Self::MySql => 1,
            Self::Sqlite | Self::Postgres => 2,
        }
    }

    /// A text that changes with any entry of a column.
    pub(super) fn digest(self, table: &str, column: &str) -> String {
        match self {
            Self::Sqlite => format!("(SELECT CAST(COALESCE(group_concat({column}), '') AS BLOB) FROM {table})"),
            Self::MySql => format!(
                "(SELECT CAST(CONCAT_WS(' ', COUNT(*), SUM(CRC32({column})), BIT_XOR(CRC32({column}))) AS BINARY)
                  FROM {table})"
            ),
            Self::Postgres => format!(
                "(SELECT convert_to(COALESCE(md5(string_agg({column}, ',' ORDER BY {column})), ''), 'UTF8') FROM {table})"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect;

    #[test]
    fn only_postgresql_numbers_the_values() {
        let statement = "UPDATE t SET a = ? WHERE b = ?";
        assert_eq!(Dialect::MySql.statement(statement), statement);
        assert_eq!(Dialect::Postgres.statement(statement), "UPDATE t SET a = $1 WHERE b = $2");
        assert_eq!(Dialect::Postgres.statement("SELECT 1"), "SELECT 1");
    }
}
