//! The differences in SQL between the three databases.

use std::fmt::Write as _;

use crate::domain::TableName;

/// A dialect of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    /// MySQL and MariaDB.
    MySql,
    Postgres,
}

impl Dialect {
    /// Returns `statement` with the placeholders of the dialect. In our statements `?` stands for a value, and for
    /// nothing else.
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

    /// Returns the name of the policy table, quoted.
    ///
    /// Kamailio does not quote it, so that PostgreSQL folds it to lower case.
    pub(super) fn quoted(self, table: &TableName) -> String {
        match self {
            Self::Sqlite => format!(r#""{table}""#),
            Self::MySql => format!("`{table}`"),
            Self::Postgres => format!(r#""{}""#, table.as_str().to_ascii_lowercase()),
        }
    }

    /// Returns an expression for the bytes of a text in UTF-8, whatever the type of the column.
    ///
    /// Unlike texts, bytes are equal only if they are identical: in MySQL `key_name = 'maint'` is also true of `Maint`
    /// and of `maint `, and in SQLite it may be if the column is NOCASE.
    pub(super) fn bytes(self, expression: &str) -> String {
        match self {
            Self::Sqlite => format!("CAST({expression} AS BLOB)"),
            Self::MySql => format!("CAST(CONVERT({expression} USING utf8mb4) AS BINARY)"),
            Self::Postgres => format!("convert_to(CAST({expression} AS TEXT), 'UTF8')"),
        }
    }

    /// Returns an expression for a 64-bit integer.
    pub(super) fn number(self, expression: &str) -> String {
        let kind = match self {
            Self::Sqlite => "INTEGER",
            Self::MySql => "SIGNED",
            Self::Postgres => "BIGINT",
        };
        format!("CAST({expression} AS {kind})")
    }

    /// Returns the condition that a column equals the next value, compared byte by byte.
    pub(super) fn equals(self, column: &str) -> String {
        format!("{} = {}", self.bytes(column), self.bytes("?"))
    }

    /// Returns an expression for the Unix time in milliseconds, by the clock of the database, which all hosts share.
    pub(super) const fn now_ms(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
            Self::MySql => "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            Self::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// Returns the statement that begins a transaction that reads a consistent snapshot.
    pub(super) const fn begin_reading(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::MySql => "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// Returns the statement that begins a transaction that writes.
    pub(super) const fn begin_writing(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::MySql => "START TRANSACTION",
            Self::Postgres => "BEGIN",
        }
    }

    /// Returns the statement that makes other hosts wait before they write. It locks a row that always exists, so that
    /// other users of the policy table are not blocked. SQLite needs none: `BEGIN IMMEDIATE` locks the whole file.
    pub(super) const fn lock(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::MySql | Self::Postgres => {
                Some("SELECT version FROM sip_filter_migration WHERE version = 1 FOR UPDATE")
            }
        }
    }

    /// Returns the query for the columns of the policy table: their names in lower case, and whether their values are
    /// generated, so that an INSERT may omit them. Its value is the name of the table.
    pub(super) const fn columns(self) -> &'static str {
        match self {
            // An explicit id does no harm in SQLite, even if the column would generate it.
            Self::Sqlite => "SELECT CAST(lower(name) AS BLOB), 0 FROM pragma_table_info(?)",
            Self::MySql => {
                "SELECT CAST(CONVERT(LOWER(column_name) USING utf8mb4) AS BINARY),
                        CAST(extra LIKE '%auto_increment%' AS SIGNED)
                 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?"
            }
            // A sequence must generate its ids: it would later reach an explicit one and fail.
            Self::Postgres => {
                "SELECT convert_to(lower(a.attname), 'UTF8'), CAST(CASE WHEN a.attidentity <> '' OR EXISTS
                        (SELECT 1 FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
                         AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval%') THEN 1 ELSE 0 END AS BIGINT)
                 FROM pg_attribute a
                 WHERE a.attrelid = to_regclass(quote_ident(lower(?))) AND a.attnum > 0 AND NOT a.attisdropped"
            }
        }
    }

    /// Returns the statement that deletes all but one of the `count` rows that match `condition`, which has one value.
    pub(super) fn delete_surplus(self, table: &str, condition: &str, count: i64) -> String {
        match self {
            Self::Sqlite => {
                format!(
                    "DELETE FROM {table} WHERE {condition}
                     AND rowid <> (SELECT MIN(rowid) FROM {table} WHERE {condition})"
                )
            }
            Self::MySql => format!("DELETE FROM {table} WHERE {condition} LIMIT {}", count - 1),
            Self::Postgres => {
                format!(
                    "DELETE FROM {table} WHERE {condition}
                     AND ctid <> (SELECT ctid FROM {table} WHERE {condition} LIMIT 1)"
                )
            }
        }
    }

    /// Returns how often [`delete_surplus`](Self::delete_surplus) contains the value of its condition.
    pub(super) const fn surplus_values(self) -> usize {
        match self {
            Self::MySql => 1,
            Self::Sqlite | Self::Postgres => 2,
        }
    }

    /// Returns an expression for a text that changes with any entry of a column.
    pub(super) fn digest(self, table: &str, column: &str) -> String {
        match self {
            Self::Sqlite => format!("(SELECT CAST(COALESCE(group_concat({column}), '') AS BLOB) FROM {table})"),
            Self::MySql => format!(
                "(SELECT CAST(CONCAT_WS(' ', COUNT(*), SUM(CRC32({column})), BIT_XOR(CRC32({column}))) AS BINARY)
                  FROM {table})"
            ),
            Self::Postgres => format!(
                "(SELECT convert_to(COALESCE(md5(string_agg({column}, ',' ORDER BY {column})), ''), 'UTF8')
                  FROM {table})"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect;

    #[test]
    fn placeholders_are_numbered_in_postgresql_only() {
        let statement = "UPDATE t SET a = ? WHERE b = ?";
        assert_eq!(Dialect::MySql.statement(statement), statement);
        assert_eq!(Dialect::Postgres.statement(statement), "UPDATE t SET a = $1 WHERE b = $2");
        assert_eq!(Dialect::Postgres.statement("SELECT 1"), "SELECT 1");
    }
}
