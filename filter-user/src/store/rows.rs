//! What the rows of the htable mean: the policy, read as Kamailio reads the keys that it knows too.

use std::convert::Infallible;

use crate::domain::{Action, Alarm, Methods, NodeName, Policy, Refusal, Switch, parse_planned_end};

/// Row `maint`: `1` is on.
pub const MAINT: &str = "maint";
/// Row `maint_code`: the status code.
pub const MAINT_CODE: &str = "maint_code";
/// Row `maint_reason`: the reason phrase.
pub const MAINT_REASON: &str = "maint_reason";
/// Row `maint_retry_after`: seconds.
pub const MAINT_RETRY_AFTER: &str = "maint_retry_after";
/// Row `maint_percent`: the share of new calls that is refused.
pub const MAINT_PERCENT: &str = "maint_percent";
/// Row `maint_methods`: which requests are refused.
pub const MAINT_METHODS: &str = "maint_methods";

/// Row `maint_until`: when maintenance ends by itself.
pub const MAINT_UNTIL: &str = "maint_until";

/// A row of the htable.
///
/// The texts are as the database has them, for they are compared here and not in SQL: MySQL's
/// `WHERE key_name='maint'` matches `Maint` and `maint ` too. Bytes that are not UTF-8 are U+FFFD by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `key_name`.
    pub key: String,
    /// `key_type`: 0 a plain key, 1 an array.
    pub key_type: i64,
    /// `value_type`: 0 a string, 1 an integer.
    pub value_type: i64,
    /// `key_value`; `None` for NULL.
    pub value: Option<String>,
}

/// Row `maint@NODE`: the flag of one host, which wins over `maint`.
pub fn key_of(node: &NodeName) -> String {
    format!("{MAINT}@{node}")
}

/// Returns the rows that a switch writes: `key_name` and `key_value`.
pub fn to_write(switch: &Switch) -> Vec<(String, String)> {
    let flag = match switch.action {
        Action::On => "1",
        Action::Off => "0",
    };
    let flag_key = switch.hosts.node().map_or_else(|| MAINT.to_owned(), key_of);
    let mut rows = vec![(flag_key, flag.to_owned())];
    let mut row = |key: &str, value: Option<String>| rows.extend(value.map(|value| (key.to_owned(), value)));
    row(MAINT_CODE, switch.code.map(|code| code.to_string()));
    row(MAINT_REASON, switch.reason.as_ref().map(ToString::to_string));
    row(MAINT_RETRY_AFTER, switch.retry_after.map(|seconds| seconds.to_string()));
    row(MAINT_PERCENT, switch.percent.map(|percent| percent.to_string()));
    row(MAINT_METHODS, switch.methods.map(|methods| methods.to_string()));
    row(MAINT_UNTIL, switch.until.map(|until| until.as_second().to_string()));
    rows
}

/// The keys of all hosts that have a row of their own.
pub(super) fn keys_of_nodes(rows: &[Row]) -> impl Iterator<Item = &str> {
    let own = |key: &&str| key.strip_prefix(MAINT).is_some_and(|rest| rest.starts_with('@'));
    rows.iter().map(|row| row.key.as_str()).filter(own)
}

/// The value of a key, if it has one plain row.
pub(super) fn value<'a>(rows: &'a [Row], key: &str) -> Option<&'a str> {
    plain(rows, key).and_then(|row| row.value.as_deref())
}

/// The flag of a key, if it has one plain row.
pub(super) fn flag(rows: &[Row], key: &str) -> Option<bool> {
    plain(rows, key).and_then(|row| Some(is_on(row.value_type, row.value.as_deref()?)))
}

fn plain<'a>(rows: &'a [Row], key: &str) -> Option<&'a Row> {
    let mut rows = rows.iter().filter(|row| row.key == key);
    let row = rows.next().filter(|row| row.key_type == 0)?;
    rows.next().is_none().then_some(row)
}

/// Whether there is a row that states the flag, well or badly, for this host.
pub fn states_the_flag(rows: &[Row], node: &NodeName) -> bool {
    let own = key_of(node);
    rows.iter().any(|row| row.key == MAINT || row.key == own)
}

/// What `rows` say to the host `node` (`None`: to one without a row of its own). Where a row cannot be used the value in
/// `last`, the policy in force, stays, and an alarm says so. The exemptions are those of `last`.
pub fn interpret(rows: &[Row], node: Option<&NodeName>, last: &Policy) -> (Policy, Vec<Alarm>) {
    let mut reader = Reader { rows, alarms: Vec::new() };
    let default = Policy::default();
    let flag = |row: &Row, value: &str| Ok::<_, Infallible>(is_on(row.value_type, value));
    // Its own row decides alone: what is wrong with `maint` is no concern of this host then.
    let own = node.map(key_of).filter(|key| rows.iter().any(|row| row.key == *key));
    let maintenance = match own {
        Some(key) => reader.key(&key, default.maintenance, last.maintenance, flag),
        None => reader.key(MAINT, default.maintenance, last.maintenance, flag),
    };
    let refusal = Refusal {
        code: reader.key(MAINT_CODE, default.refusal.code, last.refusal.code, |_, value| value.parse()),
        reason: reader.key(MAINT_REASON, default.refusal.reason, last.refusal.reason.clone(), |_, value| value.parse()),
        retry_after: reader.key(
            MAINT_RETRY_AFTER,
            default.refusal.retry_after,
            last.refusal.retry_after,
            |_, value| value.parse(),
        ),
    };
    let percent = reader.key(MAINT_PERCENT, default.percent, last.percent, |_, value| value.parse());
    let methods = reader.key(MAINT_METHODS, default.methods, last.methods, |_, value| value.parse::<Methods>());
    let until = reader.key(MAINT_UNTIL, default.until, last.until, |_, value| parse_planned_end(value));
    (Policy { maintenance, refusal, percent, methods, until, ..last.clone() }, reader.alarms)
}

struct Reader<'a> {
    rows: &'a [Row],
    alarms: Vec<Alarm>,
}

impl Reader<'_> {
    /// The value of one key: `missing` without a row, `last` where the row is of no use.
    fn key<T, E: std::fmt::Display>(
        &mut self,
        key: &str,
        missing: T,
        last: T,
        parse: impl Fn(&Row, &str) -> Result<T, E>,
    ) -> T {
        let mut rows = self.rows.iter().filter(|row| row.key == key);
        let Some(row) = rows.next() else { return missing };
        let others = rows.count();
        let alarm = if others > 0 {
            // Kamailio takes the one that comes last, which is whichever the database likes.
            Alarm::Duplicate { key: key.into(), rows: others + 1 }
        } else if row.key_type != 0 {
            Alarm::ArrayRow { key: key.into() }
        } else {
            let expected = match row.value.as_deref().map(|value| parse(row, value)) {
                Some(Ok(value)) => return value,
                Some(Err(error)) => error.to_string(),
                None => "a value is needed".into(),
            };
            Alarm::BadValue { key: key.into(), value: row.value.clone(), expected }
        };
        self.alarms.push(alarm);
        last
    }
}

/// Whether Kamailio's `$sht(config=>maint)=="1"` would be true.
fn is_on(value_type: i64, value: &str) -> bool {
    match value_type {
        0 => value == "1",
        1 => kamailio_integer(value) == 1,
        // Neither string nor integer: Kamailio stores it as a number that is none (ht_db.c, ht_db_load_table()).
        _ => false,
    }
}

/// The integer that Kamailio makes of a value: `str2sint()` (core/ut.h), whose error `ht_db_load_table()` ignores.
/// So the digits up to the first other byte count, and the sign only if all were digits.
fn kamailio_integer(value: &str) -> i32 {
    let (sign, digits) = match value.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    let mut number = 0_i32;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return number;
        }
        number = number.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
    }
    number.wrapping_mul(sign)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Row, interpret};
    use crate::domain::{Alarm, Policy, Refusal};

    fn row(key: &str, value_type: i64, value: &str) -> Row {
        Row { key: key.into(), key_type: 0, value_type, value: Some(value.into()) }
    }

    fn maintenance() -> Policy {
        let refusal = Refusal {
            code: 480.try_into().unwrap(),
            reason: "Moving".parse().unwrap(),
            retry_after: 7.try_into().unwrap(),
        };
        let methods = "INVITE,OPTIONS".parse().unwrap();
        Policy { maintenance: true, refusal, percent: 30.try_into().unwrap(), methods, ..Policy::default() }
    }

    /// What Kamailio 5.6.3 made of each, tried one by one: `value_type`, `key_value`, and whether Kamailio 5.6.3 is on.
    #[rstest]
    #[case::string_1(0, "1", true)]
    #[case::integer_1(1, "1", true)]
    #[case::integer_01(1, "01", true)]
    #[case::integer_plus_1(1, "+1", true)]
    #[case::integer_1x(1, "1x", true)]
    #[case::string_0(0, "0", false)]
    #[case::integer_0(1, "0", false)]
    #[case::string_2(0, "2", false)]
    #[case::integer_2(1, "2", false)]
    #[case::integer_11(1, "11", false)]
    #[case::integer_minus_1(1, "-1", false)]
    #[case::integer_blank_1(1, " 1", false)]
    #[case::integer_empty(1, "", false)]
    #[case::string_01(0, "01", false)]
    #[case::string_plus_1(0, "+1", false)]
    #[case::string_1x(0, "1x", false)]
    #[case::string_blank_1(0, " 1", false)]
    #[case::string_1_blank(0, "1 ", false)]
    #[case::string_true(0, "true", false)]
    #[case::string_empty(0, "", false)]
    #[case::other_type(2, "1", false)]
    fn the_row_maint_means_what_it_means_to_kamailio(#[case] value_type: i64, #[case] value: &str, #[case] on: bool) {
        // Whatever was before: a row that Kamailio understands is never "bad", so nothing of it is kept.
        for last in [Policy::default(), maintenance()] {
            let (policy, alarms) = interpret(&[row("maint", value_type, value)], None, &last);
            assert_eq!(policy.maintenance, on);
            assert_eq!(alarms, []);
        }
    }

    #[rstest]
    #[case::no_row(&[])]
    #[case::capital(&[row("Maint", 0, "1")])]
    #[case::blank(&[row("maint ", 0, "1")])]
    #[case::other_keys(&[row("maintenance", 0, "1"), row("limit", 1, "7")])]
    fn a_missing_row_is_the_default(#[case] rows: &[Row]) {
        assert_eq!(interpret(rows, None, &maintenance()), (Policy::default(), vec![]));
    }

    #[test]
    fn every_key_is_read() {
        let rows = [
            row("maint_retry_after", 1, "7"),
            row("maint", 0, "1"),
            row("maint_reason", 0, "Moving"),
            row("maint_code", 1, "480"),
            row("maint_percent", 1, "30"),
            row("maint_methods", 0, " OPTIONS, INVITE"),
        ];
        assert_eq!(interpret(&rows, None, &Policy::default()), (maintenance(), vec![]));
    }

    #[rstest]
    #[case::code("maint_code", "200")]
    #[case::reason("maint_reason", "Moving\r\nContact: <sip:x@y>")]
    #[case::retry_after("maint_retry_after", "soon")]
    #[case::share("maint_percent", "0")]
    #[case::share_with_unit("maint_percent", "50%")]
    #[case::unknown_method("maint_methods", "INVITE,FOO")]
    #[case::no_method("maint_methods", "")]
    #[case::method_that_is_never_refused("maint_methods", "INVITE,BYE")]
    fn a_bad_value_keeps_the_last_good_one_of_its_key_only(#[case] key: &str, #[case] value: &str) {
        let mut rows = vec![
            row("maint", 0, "0"),
            row("maint_code", 0, "486"),
            row("maint_reason", 0, "Busy"),
            row("maint_retry_after", 0, "60"),
            row("maint_percent", 0, "60"),
            row("maint_methods", 0, "INVITE,REGISTER"),
        ];
        rows.iter_mut().filter(|row| row.key == key).for_each(|row| row.value = Some(value.into()));
        let (policy, alarms) = interpret(&rows, None, &maintenance());

        let refusal = Refusal {
            code: 486.try_into().unwrap(),
            reason: "Busy".parse().unwrap(),
            retry_after: 60.try_into().unwrap(),
        };
        let methods = "INVITE,REGISTER".parse().unwrap();
        let mut expected =
            Policy { maintenance: false, refusal, percent: 60.try_into().unwrap(), methods, ..Policy::default() };
        match key {
            "maint_code" => expected.refusal.code = 480.try_into().unwrap(),
            "maint_reason" => expected.refusal.reason = "Moving".parse().unwrap(),
            "maint_retry_after" => expected.refusal.retry_after = 7.try_into().unwrap(),
            "maint_percent" => expected.percent = 30.try_into().unwrap(),
            _ => expected.methods = "INVITE,OPTIONS".parse().unwrap(),
        }
        assert_eq!(policy, expected);
        assert!(matches!(&alarms[..], [Alarm::BadValue { key: k, value: Some(v), .. }] if k == key && v == value));
    }

    #[test]
    fn the_alarm_says_why_a_method_is_none_to_refuse() {
        let (policy, alarms) = interpret(&[row("maint_methods", 0, "INVITE,BYE")], None, &maintenance());
        assert_eq!(policy.methods, maintenance().methods);
        let text = alarms[0].to_string();
        assert!(text.contains("maint_methods") && text.contains("BYE is never refused"), "{text}");
    }

    #[test]
    fn two_rows_of_one_key_keep_the_last_good_value() {
        let rows = [row("maint", 0, "0"), row("maint", 0, "0")];
        let (policy, alarms) = interpret(&rows, None, &maintenance());
        assert!(policy.maintenance);
        assert_eq!(alarms, [Alarm::Duplicate { key: "maint".into(), rows: 2 }]);
    }

    #[test]
    fn an_array_row_keeps_the_last_good_value() {
        let rows = [Row { key_type: 1, ..row("maint", 0, "0") }];
        let (policy, alarms) = interpret(&rows, None, &maintenance());
        assert!(policy.maintenance);
        assert_eq!(alarms, [Alarm::ArrayRow { key: "maint".into() }]);
    }

    #[test]
    fn null_keeps_the_last_good_value() {
        let rows = [Row { value: None, ..row("maint", 0, "0") }];
        let (policy, alarms) = interpret(&rows, None, &maintenance());
        assert!(policy.maintenance);
        assert!(matches!(&alarms[..], [Alarm::BadValue { value: None, .. }]));
    }
}
