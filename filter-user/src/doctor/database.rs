//! Checks of the database: whether it can be read, and whether this version knows its schema.

use super::Finding;
use crate::config::Settings;
use crate::store::{self, Error, Inspection, Recovery};

/// Checks the database, without changing it.
pub async fn examine(settings: &Settings) -> Finding {
    let name = format!("database {}, table {}", settings.database.display(), settings.table);
    match store::inspect(&settings.database, &settings.table).await {
        Ok(inspection) => usable(&name, &inspection),
        Err(error) => unusable(&name, &error),
    }
}

fn usable(name: &str, inspection: &Inspection) -> Finding {
    let why = "the rows of this table are the policy";
    let Inspection { version, latest } = inspection;
    let fact = match version {
        _ if version == latest => format!("{name}: can be read, its schema has version {version}"),
        0 => format!("{name}: can be read; sip-filter's own tables are missing, `sip-filter run` creates them"),
        _ => format!(
            "{name}: can be read, its schema has version {version}; `sip-filter run` brings it to version {latest}"
        ),
    };
    Finding::ok("database", fact, why)
}

fn unusable(name: &str, error: &Error) -> Finding {
    let fact = format!("{name}: {error}");
    if error.recovery() == Recovery::GiveUp {
        let why = "`sip-filter run` does not start with a schema that it does not know";
        let fix = "use the version of sip-filter that created the schema, or a newer one";
        return Finding::failure("database", fact, why, fix);
    }
    let (why, fix) = match error {
        Error::NoFile { .. } | Error::NoTable { .. } => (
            "`sip-filter run` creates an empty one at its first start, with maintenance off; if the URL or the name is \
             wrong, it never sees a switch",
            "check --database-url and --table; if they are right, `sip-filter migrate`, or just the first start",
        ),
        _ => (
            "`sip-filter run` starts with the last known policy, and sees no switch until this is fixed",
            "check that the server runs, and that host, user, password and file permissions are right",
        ),
    };
    Finding::warning("database", fact, why, fix)
}

#[cfg(test)]
mod tests {
    use super::{unusable, usable};
    use crate::doctor::Level;
    use crate::store::{Error, Inspection};

    #[test]
    fn only_an_unknown_schema_is_a_failure() {
        let newer = unusable("database x", &Error::NewerSchema { version: 9 });
        assert_eq!(newer.level, Level::Failure);
        assert!(newer.fact.contains("migration 9"), "{newer:?}");
        assert_eq!(unusable("database x", &Error::NoFile { path: "/a.db".into() }).level, Level::Warning);
        assert_eq!(unusable("database x", &Error::Unwatched).level, Level::Warning);
    }

    #[test]
    fn older_schema_is_brought_up_to_date_by_run() {
        let fact = |version| usable("database x", &Inspection { version, latest: 3 }).fact;
        assert_eq!(fact(3), "database x: can be read, its schema has version 3");
        assert!(fact(1).contains("brings it to version 3"), "{}", fact(1));
        assert!(fact(0).contains("are missing"), "{}", fact(0));
    }
}
