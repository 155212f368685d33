//! Established calls during a flood of new ones: through Kamailio alone, and with sip-filter in front of it.

mod buffer;
mod dialogs;

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::kamailio::{Kamailio, Options};
use filter_lab::wire::PROXY_INTERFACE;

use crate::layout::RESPONSES;
use crate::loss_free::{SLOW, Search};
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Effort, cpu, servers};
use dialogs::{Dialogs, INTERVAL, T1};

/// Number of requests within dialogs during one load of new calls. Of a hundred, the p99 is the last but one.
const REQUESTS: usize = 100;
/// Time from the beginning of the load to the first of the requests.
const LEAD: Duration = Duration::from_millis(200);
/// Loads of new calls, in multiples of the capacity of Kamailio.
const LOADS: [f64; 5] = [0.0, 1.0, 2.0, 4.0, 10.0];

/// A proxy with or without the filter, and its results.
struct Setup {
    name: &'static str,
    filter: bool,
    /// Results at each of [`LOADS`].
    steps: [Step; LOADS.len()],
}

/// The results at one load.
#[derive(Default)]
struct Step {
    /// New INVITEs really sent per second.
    sent: Rounds,
    /// Share of requests within dialogs that were answered, in percent.
    answered: Rounds,
    /// Median of the time to the response in milliseconds, of the requests that were answered.
    median: Rounds,
    /// 99th percentile of the same.
    p99: Rounds,
}

/// A proxy at work, and the filter in front of it, if any.
struct Proxy {
    _filter: Option<(Daemon, Installation)>,
    _kamailio: Kamailio,
}

pub(crate) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let mut capacity = Rounds::default();
    let mut setups = [("Kamailio alone", false), ("with sip-filter", true)].map(|(name, filter)| Setup {
        name,
        filter,
        steps: Default::default(),
    });
    let requests = REQUESTS / effort.divisor.min(4) as usize;
    // A round takes half a minute, so there are a third of the rounds of other subjects.
    for _ in 0..effort.rounds.div_ceil(3) {
        let found = capacity_of_kamailio(effort).context("measure the capacity of Kamailio")?;
        capacity.add(found);
        for setup in &mut setups {
            setup.round(found, requests).context(setup.name)?;
        }
    }
    report.figure("collateral", "capacity of Kamailio", "1/s", capacity);
    for setup in setups {
        setup.report(report);
    }
    Ok(())
}

/// Returns the highest rate of new INVITEs of which Kamailio alone refuses at least 99.9 %.
fn capacity_of_kamailio(effort: Effort) -> Result<f64> {
    let mut stage = Stage::new(1)?;
    let _proxy = Proxy::start(&mut stage, false)?;
    Search::new(&mut stage, RESPONSES, SLOW, effort).loss_free()
}

impl Proxy {
    /// Starts Kamailio, and the filter if `filter`.
    fn start(stage: &mut Stage, filter: bool) -> Result<Self> {
        let max_buffer = Some(buffer::fullest_size(stage)?);
        cpu::run_as_answerer(|| {
            let options = Options { relays: true, max_buffer, ..Options::default() };
            let kamailio = servers::kamailio(stage, &options);
            let filter = filter.then(|| servers::sip_filter(stage, PROXY_INTERFACE, &[]));
            Ok(Self { _filter: filter, _kamailio: kamailio })
        })
    }
}

impl Setup {
    /// Measures one round on a new stage.
    fn round(&mut self, capacity: f64, requests: usize) -> Result<()> {
        let mut stage = Stage::new(1)?;
        let _proxy = Proxy::start(&mut stage, self.filter)?;
        let mut dialogs = Dialogs::new(&stage)?;
        // Warm up caches. The result does not count.
        under_load(&mut stage, &mut dialogs, 0.0, requests / 10)?;
        for (load, step) in LOADS.into_iter().zip(&mut self.steps) {
            let (sent, latencies) = under_load(&mut stage, &mut dialogs, capacity * load, requests)?;
            step.add(sent, &latencies);
        }
        Ok(())
    }

    fn report(self, report: &mut Report) {
        let unloaded = self.steps[0].p99.clone();
        for (load, Step { sent, answered, median, p99 }) in LOADS.into_iter().zip(self.steps) {
            let name = format!("{}, new INVITEs at {load} times the capacity", self.name);
            if self.filter {
                let slower = p99.zip_with(&unloaded, |p99, unloaded| p99 / unloaded);
                report.target(format!("{name}: least answered, %"), answered.min(), Bound::AtLeast(100.0));
                if load > 0.0 {
                    report.target(format!("{name}: p99 by that without"), slower.median(), Bound::AtMost(1.5));
                }
            }
            report.figure("collateral", format!("{name}: really sent"), "1/s", sent);
            report.figure("collateral", format!("{name}: requests within dialogs answered"), "%", answered);
            report.figure("collateral", format!("{name}: their p50"), "ms", median);
            report.figure("collateral", format!("{name}: their p99"), "ms", p99);
        }
    }
}

impl Step {
    /// Adds the results of one round.
    fn add(&mut self, sent: f64, latencies: &[Option<Duration>]) {
        let mut answered = Rounds::default();
        latencies.iter().flatten().for_each(|latency| answered.add(latency.as_secs_f64() * 1000.0));
        let share = latencies.iter().flatten().count() as f64 / latencies.len() as f64;
        self.sent.add(sent);
        self.answered.add(share * 100.0);
        self.median.add(answered.percentile(50));
        self.p99.add(answered.percentile(99));
    }
}

/// Sends requests within dialogs while new INVITEs arrive at `rate`. Returns the rate of new INVITEs really sent, and
/// the time to the response of each request.
///
/// The caller is on the CPU of the answerers, with a priority above theirs.
fn under_load(
    stage: &mut Stage,
    dialogs: &mut Dialogs,
    rate: f64,
    requests: usize,
) -> Result<(f64, Vec<Option<Duration>>)> {
    // Set the priority before the load begins: under load this thread would not get the CPU any more.
    cpu::run_before_answerers(|| {
        if rate == 0.0 {
            return Ok((0.0, dialogs.send(requests)?));
        }
        let duration = LEAD + INTERVAL * requests as u32 + T1;
        thread::scope(|scope| {
            let load = scope.spawn(|| stage.probe(rate, duration, RESPONSES));
            thread::sleep(LEAD);
            let latencies = dialogs.send(requests);
            ensure!(!load.is_finished(), "the load ended before the last request was sent");
            let probe = load.join().map_err(|_panic| anyhow!("the generator panicked"))??;
            Ok((probe.sent_rate, latencies?))
        })
    })
}
