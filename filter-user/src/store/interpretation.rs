//! The meaning of the policy rows for one host.

use super::rows::{self, Row};
use crate::domain::{Alarm, NodeName, Policy, Refusal};

/// The meaning of a [`Reading`](super::Reading) for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpretation {
    /// Policy to put in force.
    pub policy: Policy,
    /// True if the flag is the host's own, that of the row `maint@NODE`.
    pub own_flag: bool,
    /// True if there is a row for the flag, valid or not.
    pub states_flag: bool,
    /// Alarms about rows and entries that cannot be used.
    pub alarms: Vec<Alarm>,
}

/// Returns the meaning of `rows` for the host `node`. The lists of the policy are those of `last`.
///
/// If the rows of a key cannot be used, the value in `last`, the policy in force, is kept, and an alarm is raised.
pub(super) fn interpret_rows(rows: &[Row], node: &NodeName, last: &Policy) -> Interpretation {
    let own_key = rows::node_key(node);
    let own_flag = rows.iter().any(|row| row.key == own_key);
    // If the host has a row of its own, only this row counts: a fault of the row `maint` does not concern it.
    let flag_key = if own_flag { &own_key } else { rows::MAINT };
    let states_flag = rows.iter().any(|row| row.key == flag_key);

    let (default, mut alarms) = (Policy::default(), Vec::new());
    let maintenance = rows::flag(rows, flag_key).resolve(default.maintenance, last.maintenance, &mut alarms);
    let refusal = Refusal {
        code: rows::parsed(rows, rows::MAINT_CODE).resolve(default.refusal.code, last.refusal.code, &mut alarms),
        reason: rows::parsed(rows, rows::MAINT_REASON).resolve(
            default.refusal.reason,
            last.refusal.reason.clone(),
            &mut alarms,
        ),
        retry_after: rows::parsed(rows, rows::MAINT_RETRY_AFTER).resolve(
            default.refusal.retry_after,
            last.refusal.retry_after,
            &mut alarms,
        ),
    };
    let percent = rows::parsed(rows, rows::MAINT_PERCENT).resolve(default.percent, last.percent, &mut alarms);
    let methods = rows::parsed(rows, rows::MAINT_METHODS).resolve(default.methods, last.methods, &mut alarms);
    let until = rows::planned_end(rows).resolve(default.until, last.until, &mut alarms);
    let policy = Policy { maintenance, refusal, percent, methods, until, ..last.clone() };
    Interpretation { policy, own_flag, states_flag, alarms }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::rows::Row;
    use super::{Interpretation, interpret_rows};
    use crate::domain::{Alarm, Policy, Refusal};

    fn row(key: &str, value_type: i64, value: &str) -> Row {
        Row { key: key.into(), key_type: 0, value_type, value: Some(value.into()) }
    }

    fn interpret(rows: &[Row], last: &Policy) -> Interpretation {
        interpret_rows(rows, &"sbc1".parse().unwrap(), last)
    }

    /// Returns a policy that differs from the default in all values that rows can state, except the planned end.
    fn maintenance() -> Policy {
        let refusal = Refusal {
            code: 480.try_into().unwrap(),
            reason: "Moving".parse().unwrap(),
            retry_after: 7.try_into().unwrap(),
        };
        let methods = "INVITE,OPTIONS".parse().unwrap();
        Policy { maintenance: true, refusal, percent: 30.try_into().unwrap(), methods, ..Policy::default() }
    }

    /// Cases: `value_type`, `key_value`, and the flag that Kamailio 5.6.3 reads from the row. Each was tried with it.
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
    fn row_maint_means_what_it_means_to_kamailio(#[case] value_type: i64, #[case] value: &str, #[case] on: bool) {
        // Kamailio understands each of these rows, so that none is invalid and the last policy does not matter.
        for last in [Policy::default(), maintenance()] {
            let found = interpret(&[row("maint", value_type, value)], &last);
            assert_eq!(found.policy.maintenance, on);
            assert_eq!(found.alarms, []);
        }
    }

    #[rstest]
    #[case::no_row(&[])]
    #[case::capital(&[row("Maint", 0, "1")])]
    #[case::blank(&[row("maint ", 0, "1")])]
    #[case::other_keys(&[row("maintenance", 0, "1"), row("limit", 1, "7")])]
    fn missing_rows_give_the_default_policy_and_state_no_flag(#[case] rows: &[Row]) {
        let default = Interpretation { policy: Policy::default(), own_flag: false, states_flag: false, alarms: vec![] };
        assert_eq!(interpret(rows, &maintenance()), default);
    }

    #[rstest]
    #[case::of_all_hosts(&[row("maint", 0, "1")], true, false)]
    #[case::own_flag_wins(&[row("maint", 0, "1"), row("maint@sbc1", 0, "0")], false, true)]
    #[case::own_flag_alone(&[row("maint@sbc1", 0, "1")], true, true)]
    #[case::another_hosts_flag(&[row("maint", 0, "1"), row("maint@sbc2", 0, "0")], true, false)]
    fn flag_is_the_hosts_own_if_it_has_one(#[case] rows: &[Row], #[case] maintenance: bool, #[case] own_flag: bool) {
        let found = interpret(rows, &Policy::default());
        assert_eq!((found.policy.maintenance, found.own_flag, found.states_flag), (maintenance, own_flag, true));
        assert_eq!(found.alarms, []);
    }

    #[test]
    fn invalid_row_still_states_the_flag() {
        let found = interpret(&[Row { value: None, ..row("maint", 0, "0") }], &maintenance());
        assert!(found.states_flag);
        assert!(!interpret(&[row("maint@sbc2", 0, "0")], &maintenance()).states_flag);
    }

    #[test]
    fn fault_of_the_common_flag_does_not_concern_a_host_with_its_own() {
        let rows = [row("maint", 0, "1"), row("maint", 0, "1"), row("maint@sbc1", 0, "0")];
        let found = interpret(&rows, &maintenance());
        assert_eq!((found.policy.maintenance, found.alarms), (false, vec![]));
    }

    #[test]
    fn every_key_of_the_policy_is_read() {
        let rows = [
            row("maint_retry_after", 1, "7"),
            row("maint", 0, "1"),
            row("maint_reason", 0, "Moving"),
            row("maint_code", 1, "480"),
            row("maint_percent", 1, "30"),
            row("maint_methods", 0, " OPTIONS, INVITE"),
        ];
        let found = interpret(&rows, &Policy::default());
        assert_eq!((found.policy, found.alarms), (maintenance(), vec![]));
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
    fn invalid_value_keeps_the_last_good_value_of_its_key_only(#[case] key: &str, #[case] value: &str) {
        let mut rows = vec![
            row("maint", 0, "0"),
            row("maint_code", 0, "486"),
            row("maint_reason", 0, "Busy"),
            row("maint_retry_after", 0, "60"),
            row("maint_percent", 0, "60"),
            row("maint_methods", 0, "INVITE,REGISTER"),
        ];
        rows.iter_mut().filter(|row| row.key == key).for_each(|row| row.value = Some(value.into()));
        let found = interpret(&rows, &maintenance());

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
        assert_eq!(found.policy, expected);
        assert!(
            matches!(&found.alarms[..], [Alarm::BadValue { key: k, value: Some(v), .. }] if k == key && v == value)
        );
    }

    #[test]
    fn alarm_says_that_a_method_is_never_refused() {
        let found = interpret(&[row("maint_methods", 0, "INVITE,BYE")], &maintenance());
        assert_eq!(found.policy.methods, maintenance().methods);
        let text = found.alarms[0].to_string();
        assert!(text.contains("maint_methods") && text.contains("BYE is never refused"), "{text}");
    }

    #[test]
    fn two_rows_of_one_key_keep_the_last_good_value() {
        let found = interpret(&[row("maint", 0, "0"), row("maint", 0, "0")], &maintenance());
        assert!(found.policy.maintenance);
        assert_eq!(found.alarms, [Alarm::Duplicate { key: "maint".into(), rows: 2 }]);
    }

    #[test]
    fn array_row_keeps_the_last_good_value() {
        let found = interpret(&[Row { key_type: 1, ..row("maint", 0, "0") }], &maintenance());
        assert!(found.policy.maintenance);
        assert_eq!(found.alarms, [Alarm::ArrayRow { key: "maint".into() }]);
    }

    #[test]
    fn null_keeps_the_last_good_value() {
        let found = interpret(&[Row { value: None, ..row("maint", 0, "0") }], &maintenance());
        assert!(found.policy.maintenance);
        assert!(matches!(&found.alarms[..], [Alarm::BadValue { value: None, .. }]));
    }
}
