//! Times as people write them: a duration, a point in time, a timeout.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::{SignedDuration, Timestamp, ToSpan as _, ZonedDateTime};
use thiserror::Error;

/// Maximum time until a planned end, a leap year: a longer one is a typing mistake.
const MAX_AHEAD: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Maximum time that a command waits for the other hosts.
const MAX_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// The error of a text that is not a time.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum InvalidTime {
    #[error("not a duration: write 30m, 90s, 2h or 1h30m, from 1s to 366 days")]
    Length,
    #[error("not a time: write 22:30 (its next occurrence), 2026-11-25 06:00, or 2026-11-25T06:00:00Z")]
    Time,
    #[error("{0} is in the past, or more than 366 days away")]
    OutOfRange(Timestamp),
    #[error("not a duration to wait for: write 10s or 1m, up to 1h")]
    Wait,
}

/// Parses `--for`, a duration from now. Returns its end.
pub(super) fn parse_for(text: &str) -> Result<Timestamp, InvalidTime> {
    end_after(text, Timestamp::now())
}

fn end_after(text: &str, now: Timestamp) -> Result<Timestamp, InvalidTime> {
    let length = duration(text, SignedDuration::from_secs(1)..=MAX_AHEAD);
    length.and_then(|length| now.checked_add(length).ok()).ok_or(InvalidTime::Length)
}

/// Parses `--until`, a time in this host's time zone unless it names one.
pub(super) fn parse_until(text: &str) -> Result<Timestamp, InvalidTime> {
    end_at(text, &ZonedDateTime::now())
}

fn end_at(text: &str, now: &ZonedDateTime) -> Result<Timestamp, InvalidTime> {
    let end = match text.parse::<Timestamp>() {
        Ok(end) => end,
        Err(_) => local(text, now).ok_or(InvalidTime::Time)?.timestamp(),
    };
    let left = end.duration_since(now.timestamp());
    if left <= SignedDuration::ZERO || left > MAX_AHEAD { Err(InvalidTime::OutOfRange(end)) } else { Ok(end) }
}

fn local(text: &str, now: &ZonedDateTime) -> Option<ZonedDateTime> {
    let zone = now.time_zone();
    // Only a date has a `-`. Checked first, since a date and time can be parsed as a time of day, too.
    if text.contains('-') {
        return text.parse::<DateTime>().ok()?.to_zoned_datetime(zone.clone()).ok();
    }
    let time: Time = text.parse().ok()?;
    let today = now.date().to_datetime(time).to_zoned_datetime(zone.clone()).ok()?;
    if today > *now { Some(today) } else { today.checked_add(1.day()).ok() }
}

/// Parses `--wait`, a duration.
pub(super) fn parse_wait(text: &str) -> Result<Duration, InvalidTime> {
    let length = duration(text, SignedDuration::ZERO..=MAX_WAIT);
    length.and_then(|length| Duration::try_from(length).ok()).ok_or(InvalidTime::Wait)
}

/// Parses a duration. Returns `None` if it is not in `range`.
fn duration(text: &str, range: RangeInclusive<SignedDuration>) -> Option<SignedDuration> {
    text.parse().ok().filter(|length| range.contains(length))
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, ZonedDateTime};
    use rstest::rstest;

    use super::{InvalidTime, end_after, end_at, parse_wait};

    fn now() -> ZonedDateTime {
        "2026-11-24T22:00:00+01:00[Europe/Berlin]".parse().unwrap()
    }

    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::minutes("30m", "2026-11-24T21:30:00Z")]
    #[case::seconds("90s", "2026-11-24T21:01:30Z")]
    #[case::both("1h30m", "2026-11-24T22:30:00Z")]
    #[case::iso("PT2H", "2026-11-24T23:00:00Z")]
    fn duration_ends_that_long_from_now(#[case] text: &str, #[case] end: &str) {
        assert_eq!(end_after(text, now().timestamp()), Ok(utc(end)));
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_unit("30")]
    #[case::zero("0s")]
    #[case::past("-5m")]
    #[case::for_ever("9000h")]
    fn text_that_is_not_a_duration_from_1s_to_366_days_is_an_error(#[case] text: &str) {
        assert_eq!(end_after(text, now().timestamp()), Err(InvalidTime::Length));
    }

    #[rstest]
    #[case::utc("2026-11-25T06:00:00Z", "2026-11-25T06:00:00Z")]
    #[case::offset("2026-11-25T06:00:00+02:00", "2026-11-25T04:00:00Z")]
    #[case::local("2026-11-25 06:00", "2026-11-25T05:00:00Z")]
    #[case::later_today("22:30", "2026-11-24T21:30:00Z")]
    #[case::tomorrow("06:00", "2026-11-25T05:00:00Z")]
    fn time_is_local_and_in_the_future_unless_it_has_a_zone(#[case] text: &str, #[case] end: &str) {
        assert_eq!(end_at(text, &now()), Ok(utc(end)));
    }

    #[rstest]
    #[case::over("2026-11-24T20:59:59Z")]
    #[case::far("2036-11-24T20:59:59Z")]
    #[case::no_time("tomorrow")]
    #[case::hour("25:00")]
    #[case::empty("")]
    fn time_in_the_past_or_far_away_is_an_error(#[case] text: &str) {
        end_at(text, &now()).unwrap_err();
    }

    #[rstest]
    #[case::not_at_all("0s", true)]
    #[case::longest("1h", true)]
    #[case::too_long("1h1s", false)]
    #[case::past("-1s", false)]
    fn wait_is_at_most_an_hour(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(parse_wait(text).is_ok(), valid);
    }
}
