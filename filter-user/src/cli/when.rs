//! Times as people write them: how long, until when, and how long to wait.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, ZonedDateTime};
use thiserror::Error;

/// The longest maintenance that is planned: a year and a day. What is longer is a slip of the finger.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The longest that a command waits for the other hosts.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// Why a text is no time.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum InvalidTime {
    #[error("not a length of time: write 30m, 90s, 2h or 1h30m, from 1s to 366 days")]
    Length,
    #[error("not a time: write 22:30 (the next time that it is), 2026-11-25 06:00, or 2026-11-25T06:00:00Z")]
    Time,
    #[error("{0} is over, or more than 366 days away")]
    OutOfRange(Timestamp),
    #[error("not a time to wait: write 10s or 1m, up to 1h")]
    Wait,
}

/// `--for`: from now on.
pub(super) fn parse_for(text: &str) -> Result<Timestamp, InvalidTime> {
    end_after(text, Timestamp::now())
}

fn end_after(text: &str, now: Timestamp) -> Result<Timestamp, InvalidTime> {
    let length: SignedDuration = text.parse().map_err(|_| InvalidTime::Length)?;
    if length < SignedDuration::from_secs(1) || length > LONGEST {
        return Err(InvalidTime::Length);
    }
    now.checked_add(length).map_err(|_| InvalidTime::Length)
}

/// `--until`: in this host's time zone, unless it names one.
pub(super) fn parse_until(text: &str) -> Result<Timestamp, InvalidTime> {
    end_at(text, &ZonedDateTime::now())
}

fn end_at(text: &str, now: &ZonedDateTime) -> Result<Timestamp, InvalidTime> {
    let end = match text.parse::<Timestamp>() {
        Ok(end) => end,
        Err(_) => local(text, now).ok_or(InvalidTime::Time)?.timestamp(),
    };
    let left = end.duration_since(now.timestamp());
    if left <= SignedDuration::ZERO || left > LONGEST { Err(InvalidTime::OutOfRange(end)) } else { Ok(end) }
}

fn local(text: &str, now: &ZonedDateTime) -> Option<ZonedDateTime> {
    let zone: &TimeZone = now.time_zone();
    // "22:30" would be a time of day 0 to others: a date and time has a `-`.
    if text.contains('-') {
        return text.parse::<DateTime>().ok()?.to_zoned_datetime(zone.clone()).ok();
    }
    let time: Time = text.parse().ok()?;
    let today = now.date().to_datetime(time).to_zoned_datetime(zone.clone()).ok()?;
    if today > *now { Some(today) } else { today.checked_add(1.day()).ok() }
}

/// `--wait`: how long.
pub(super) fn parse_wait(text: &str) -> Result<Duration, InvalidTime> {
    let length: SignedDuration = text.parse().map_err(|_| InvalidTime::Wait)?;
    if length > PATIENCE {
        return Err(InvalidTime::Wait);
    }
    Duration::try_from(length).map_err(|_| InvalidTime::Wait)
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, ZonedDateTime};
    use rstest::rstest;

    use super::{InvalidTime, end_after, end_at};

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
    fn lengths(#[case] text: &str, #[case] end: &str) {
        assert_eq!(end_after(text, now().timestamp()), Ok(utc(end)));
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_unit("30")]
    #[case::zero("0s")]
    #[case::past("-5m")]
    #[case::for_ever("9000h")]
    fn no_lengths(#[case] text: &str) {
        assert_eq!(end_after(text, now().timestamp()), Err(InvalidTime::Length));
    }

    #[rstest]
    #[case::utc("2026-11-25T06:00:00Z", "2026-11-25T06:00:00Z")]
    #[case::offset("2026-11-25T06:00:00+02:00", "2026-11-25T04:00:00Z")]
    #[case::local("2026-11-25 06:00", "2026-11-25T05:00:00Z")]
    #[case::later_today("22:30", "2026-11-24T21:30:00Z")]
    #[case::tomorrow("06:00", "2026-11-25T05:00:00Z")]
    fn times(#[case] text: &str, #[case] end: &str) {
        assert_eq!(end_at(text, &now()), Ok(utc(end)));
    }

    #[rstest]
    #[case::over("2026-11-24T20:59:59Z")]
    #[case::far("2036-11-24T20:59:59Z")]
    #[case::no_time("tomorrow")]
    #[case::hour("25:00")]
    #[case::empty("")]
    fn no_times(#[case] text: &str) {
        assert!(end_at(text, &now()).is_err());
    }
}
