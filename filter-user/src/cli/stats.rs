//! `sip-filter stats`: the counters, with their meaning.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use filter_common::verdict::Verdict;
use filter_reply::Unanswered;
use filter_user::config::Settings;
use filter_user::control::Client;
use filter_user::dataplane::Counters;
use filter_user::protocol::{NoParams, method};

use super::error::{Error, Outcome};
use super::output::{Output, table};

/// Options of `stats`.
#[derive(Args)]
pub(super) struct StatsOptions {
    /// Also show counters that are zero
    #[arg(long)]
    all: bool,

    /// Show the counters every second, with rates, until interrupted
    ///
    /// With --json, prints one object per line.
    #[arg(long)]
    watch: bool,
}

const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn stats(settings: &Settings, options: &StatsOptions, output: Output) -> Result<Outcome, Error> {
    let mut client = Client::connect(&settings.socket)?;
    let mut received = client.call::<method::Stats>(&NoParams {})?;
    output.print(&received.json, || text(&received.reply, None, options.all))?;
    if !options.watch {
        return Ok(Outcome::Done);
    }
    let clear = if io::stdout().is_terminal() { "\x1b[H\x1b[2J" } else { "\n" };
    loop {
        let before = Earlier { counters: received.reply, at: Instant::now() };
        sleep(INTERVAL);
        received = client.call::<method::Stats>(&NoParams {})?;
        output.print(&received.json, || format!("{clear}{}", text(&received.reply, Some(&before), options.all)))?;
    }
}

/// Earlier counters, from which rates are calculated.
pub(super) struct Earlier {
    counters: Counters,
    at: Instant,
}

/// Formats counters as a table, with rates if there are earlier ones. Counters that are zero are left out unless `all`.
pub(super) fn text(counters: &Counters, before: Option<&Earlier>, all: bool) -> String {
    let mut head = vec!["PACKETS".to_owned(), "COUNT".into()];
    head.extend(before.map(|_| "PER SECOND".into()));
    head.push("MEANING".into());
    let mut rows = vec![head];
    for group in [Group::VERDICTS, Group::RESPONDER] {
        for (name, count, meaning) in group.in_order((group.counters)(counters)) {
            if count == 0 && !all {
                continue;
            }
            let rate = before.map(|Earlier { counters: earlier, at }| {
                let earlier = (group.counters)(earlier).get(name).copied().unwrap_or(0);
                format!("{:.0}", count.saturating_sub(earlier) as f64 / at.elapsed().as_secs_f64())
            });
            let mut row = vec![format!("{}{name}", group.prefix), count.to_string()];
            row.extend(rate);
            row.push(meaning.into());
            rows.push(row);
        }
    }
    if rows.len() == 1 { "no packets counted yet\n".into() } else { table(&rows) }
}

/// A group of counters.
struct Group {
    /// Prefix of the names in the table.
    prefix: &'static str,
    counters: fn(&Counters) -> &BTreeMap<String, u64>,
    /// Names and meanings, in the order of the table.
    known: fn() -> Vec<(&'static str, &'static str)>,
}

impl Group {
    /// The counters of the XDP program, in the order of its decisions.
    const VERDICTS: Self = Self {
        prefix: "",
        counters: |counters| &counters.verdicts,
        known: || Verdict::ALL.iter().map(|verdict| (verdict.name(), verdict.meaning())).collect(),
    };

    /// The counters of the responders.
    const RESPONDER: Self = Self {
        prefix: "responder: ",
        counters: |counters| &counters.responder,
        known: || {
            let answered = [("answered", "Requests that were refused with a response.")];
            let unanswered = Unanswered::ALL.iter().map(|reason| (reason.name(), reason.meaning()));
            let socket = [
                ("lost", "Requests that the AF_XDP socket had no room for."),
                (
                    "send_errors",
                    "Times that the kernel did not accept responses at once: the interface was down, or its queue \
                     full.",
                ),
            ];
            answered.into_iter().chain(unanswered).chain(socket).collect()
        },
    };

    /// Returns name, count and meaning of each counter. Those that only a later version knows come last.
    fn in_order<'a>(&self, counters: &'a BTreeMap<String, u64>) -> Vec<(&'a str, u64, &'static str)> {
        let known = (self.known)();
        let rank = |name: &str| known.iter().position(|(known, _)| *known == name);
        let mut ordered: Vec<_> = counters
            .iter()
            .map(|(name, count)| {
                let rank = rank(name);
                let meaning = rank.and_then(|rank| known.get(rank)).map_or("", |(_, meaning)| meaning);
                (rank.unwrap_or(usize::MAX), (name.as_str(), *count, meaning))
            })
            .collect();
        ordered.sort_by_key(|(rank, _)| *rank);
        ordered.into_iter().map(|(_, counter)| counter).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use filter_user::dataplane::Counters;
    use serde_json::{Value, json};

    use super::{Earlier, text};

    fn counters(reply: Value) -> Counters {
        serde_json::from_value(reply).unwrap()
    }

    #[test]
    fn stats_has_rates_and_the_order_of_decisions_with_unknown_counters_last() {
        let before = Earlier {
            counters: counters(json!({"verdicts": {"off": 10, "redirected": 0}, "responder": {"answered": 0}})),
            at: Instant::now().checked_sub(Duration::from_secs(2)).unwrap(),
        };
        let now = counters(
            json!({"verdicts": {"redirected": 2000, "off": 10, "brand_new": 4}, "responder": {"answered": 1999}}),
        );
        let text = text(&now, Some(&before), true);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
        assert_eq!(lines[1], ["off", "10", "0"]);
        assert_eq!(lines[2][..2], ["redirected", "2000"]);
        let rate: f64 = lines[2][2].parse().unwrap();
        assert!((900.0..=1000.0).contains(&rate), "{rate}");
        assert_eq!(lines[3], ["brand_new", "4", "2"]);
        assert_eq!(lines[4], ["responder:", "answered", "1999"]);
    }

    #[test]
    fn stats_explains_the_counters_of_the_responders_and_leaves_zeros_out_unless_asked() {
        let now = counters(json!({
            "verdicts": {"off": 0},
            "responder": {"answered": 7, "lost": 1, "no_via": 2, "send_errors": 3, "no_to": 0},
        }));
        let counted = text(&now, None, false);
        let expected = "\
PACKETS                 COUNT  MEANING
responder: answered         7  Requests that were refused with a response.
responder: no_via           2  No Via header.
responder: lost             1  Requests that the AF_XDP socket had no room for.
responder: send_errors      3  Times that the kernel did not accept responses at once: the interface was down, or its queue full.
";
        assert_eq!(counted, expected);
        let all = text(&now, None, true);
        assert_eq!(all.lines().count(), 7, "{all}");
        assert!(all.contains("responder: no_to"), "{all}");
    }
}
