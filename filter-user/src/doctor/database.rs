//! The database: whether it can be read, and whether its tables are ours.

use super::Finding;
use crate::config::Settings;
use crate::store::{self, Error, Inspection, Recovery};

pub(super) async fn examine(settings: &Settings) -> Finding {
    let name = format!("database {}, table {}", settings.database.display(), settings.table);
    match store::inspect(&settings.database, &settings.table).await {
        Ok(inspection) => usable(&name, &inspection),
        Err(error) => unusable(&name, &error),
    }
}

fn usable(name: &str, inspection: &Inspection) -> Finding {
    let why = "the rows of this table say what is in force";
    let Inspection { version, latest } = inspection;
    let fact = match version {
        _ if version == latest => format!("{name}: can be read, its schema is of version {version}"),
        0 => format!("{name}: can be read; our own tables are not there yet, `sip-filter run` makes them"),
        _ => format!("{name}: can be read, its schema is of version {version}; `sip-filter run` brings it to {latest}"),
    };
    Finding::ok("database", fact, why)
}

fn unusable(name: &str, error: &Error) -> Finding {
    let fact = format!("{name}: {error}");
    if error.recovery() == Recovery::GiveUp {
        let why = "`sip-filter run` does not start with a schema that it does not know";
        return Finding::failure(
            "database",
            fact,
            why,
            "use the version of sip-filter that has made it, or a newer one",
        );
    }
    let (why, mend) = match error {
        Error::NoFile { .. } | Error::NoTable { .. } => (
            "`sip-filter run` makes an empty one at its first start, which says off; switches elsewhere are not seen then",
            "if --database-url and --table are right: `sip-filter migrate`, or nothing before the first start",
        ),
        _ => (
            "`sip-filter run` starts with the state that it knew last, and no switch reaches it until this is mended",
            "see that the server runs, and that host, user, password and file permissions are right",
        ),
    };
    Finding::warning("database", fact, why, mend)
}

#[cfg(test)]
mod tests {
    use super::{unusable, usable};
    use crate::doctor::Level;
    use crate::store::{Error, Inspection};

    #[test]
    fn only_a_foreign_schema_keeps_run_from_starting() {
        let newer = unusable("database x", &Error::NewerSchema { version: 9 });
        assert_eq!(newer.level, Level::Failure);
        assert!(newer.fact.contains("migration 9"), "{newer:?}");
        assert_eq!(unusable("database x", &Error::NoFile { path: "/a.db".into() }).level, Level::Warning);
        assert_eq!(unusable("database x", &Error::Unwatched).level, Level::Warning);
    }

    #[test]
    fn an_older_schema_is_brought_up_to_date_by_run() {
        let fact = |version| usable("database x", &Inspection { version, latest: 3 }).fact;
        assert_eq!(fact(3), "database x: can be read, its schema is of version 3");
        assert!(fact(1).contains("brings it to 3"), "{}", fact(1));
        assert!(fact(0).contains("not there yet"), "{}", fact(0));
    }
}
