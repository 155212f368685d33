//! What becomes of calls that are up while new ones come in masses: through Kamailio alone, and with sip-filter in front of it.

mod buffer;
mod dialogs;

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::kamailio::{Kamailio, Options};
use filter_lab::wire::PROXY_INTERFACE;

use crate::layout::ANSWERS;
use crate::loss_free::{SLOW, Search};
use crate::report::{Bound, Report, Rounds};
use crate::stage::Stage;
use crate::{Effort, cpu, servers};
use dialogs::{Dialogs, INTERVAL, T1};

/// Requests within dialogs while one load of new calls lasts: of a hundred, the p99 is the last but one.
const REQUESTS: usize = 100;
/// For so long the load is there before the first of the requests.
const LEAD: Duration = Duration::from_millis(200);
/// The loads, in capacities of Kamailio.
const LOADS: [f64; 5] = [0.0, 1.0, 2.0, 4.0, 10.0];

/// Who has the proxy's port.
struct Setup {
    name: &'static str,
    filter: bool,
    /// What was found at each of [`LOADS`].
    steps: [Step; LOADS.len()],
}

/// What was found at one load.
#[derive(Default)]
struct Step {
    /// New INVITEs that were really sent, in a second.
    sent: Rounds,
    /// Requests within dialogs that were answered, in percent.
    answered: Rounds,
    /// Of those that were answered, how long that took, in milliseconds.
    median: Rounds,
    p99: Rounds,
}

/// A proxy at work, and the filter before it, if it is there.
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
    // A round takes half a minute: a third of the rounds that others have.
    for _ in 0..effort.rounds.div_ceil(3) {
        let found = capacity_of_kamailio(effort).context("the capacity of Kamailio")?;
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

/// The highest rate of new INVITEs of which Kamailio, alone, refuses at least 99.9 %.
fn capacity_of_kamailio(effort: Effort) -> Result<f64> {
    let mut stage = Stage::new(1)?;
    let _proxy = Proxy::start(&mut stage, false)?;
    Search::new(&mut stage, ANSWERS, SLOW, effort).loss_free()
}

impl Proxy {
    fn start(stage: &mut Stage, filter: bool) -> Result<Self> {
        let max_buffer = Some(buffer::full_of_frames(stage)?);
        cpu::as_answerer(|| {
            let options = Options { relays: true, max_buffer, ..Options::default() };
            let kamailio = servers::kamailio(stage, &options)?;
            let filter = filter.then(|| servers::sip_filter(stage, PROXY_INTERFACE, &[])).transpose()?;
            Ok(Self { _filter: filter, _kamailio: kamailio })
        })
    }
}

impl Setup {
    fn round(&mut self, capacity: f64, requests: usize) -> Result<()> {
        let mut stage = Stage::new(1)?;
        let _proxy = Proxy::start(&mut stage, self.filter)?;
        let mut dialogs = Dialogs::new(&stage)?;
        // The first requests find nothing in any cache.
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
                let slower = p99.against(&unloaded, |p99, unloaded| p99 / unloaded);
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

/// Requests within dialogs while new INVITEs come at `rate`: what was really sent of these, and how long each of those took. The
/// caller is on the CPU of the answerers, and goes before them.
fn under_load(
    stage: &mut Stage,
    dialogs: &mut Dialogs,
    rate: f64,
    requests: usize,
) -> Result<(f64, Vec<Option<Duration>>)> {
    // The caller's priority comes first: the tool that sets it would not get at the CPU under load.
    cpu::before_answerers(|| {
        if rate == 0.0 {
            return Ok((0.0, dialogs.go_on(requests)?));
        }
        let duration = LEAD + INTERVAL * requests as u32 + T1;
        thread::scope(|scope| {
            let load = scope.spawn(|| stage.probe(rate, duration, ANSWERS));
            thread::sleep(LEAD);
            let latencies = dialogs.go_on(requests);
            ensure!(!load.is_finished(), "the load has ended before the requests");
            let probe = load.join().map_err(|_| anyhow!("the generator has panicked"))??;
            Ok((probe.sent_rate, latencies?))
        })
    })
}
