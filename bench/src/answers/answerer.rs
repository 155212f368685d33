//! Those who answer, each started on the answerer's CPU at the far end of the wire.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::programs::xdp::XdpMode;
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::kamailio::{Kamailio, Options};
use filter_lab::wire::PROXY_INTERFACE;

use super::reflector::Reflector;
use crate::layout::{ANSWERS, REFLECTED};
use crate::loss_free::{FAST, SLOW};
use crate::stage::Stage;
use crate::{cpu, programs, servers};

/// Who answers.
#[derive(Clone, Copy)]
pub(super) enum Answerer {
    /// The daemon, with maintenance on.
    SipFilter,
    /// A process that sends back what comes out of an AF_XDP socket.
    AfXdpReflector,
    /// An XDP program that sends back what comes.
    XdpTxReflector,
    /// Kamailio, whose script refuses new calls.
    Kamailio {
        /// Its processes for UDP, all on one CPU.
        children: u32,
        /// Its allocator, if not the one that it comes with.
        memory: Option<&'static str>,
    },
}

/// An answerer at work; it ends with this value.
pub(super) enum Running {
    SipFilter(Daemon, #[expect(dead_code, reason = "its files are held, not read")] Installation),
    AfXdpReflector(Reflector),
    XdpTxReflector(#[expect(dead_code, reason = "the attached program is held, not read")] Ebpf),
    Kamailio(Kamailio),
}

impl Running {
    /// What it has taken so far to receive and to answer, in seconds of CPU time: its processes, and the receive work of its
    /// NIC. What is received from others in between is in it too.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let own = match self {
            Self::SipFilter(daemon, _) => cpu::process_seconds(daemon.pid())?,
            Self::AfXdpReflector(reflector) => cpu::thread_seconds(reflector.thread())?,
            Self::XdpTxReflector(_) => 0.0,
            Self::Kamailio(kamailio) => {
                kamailio.processes().into_iter().map(cpu::process_seconds).sum::<Result<_>>()?
            }
        };
        Ok(own + cpu::receiving_seconds()?)
    }
}

impl Answerer {
    /// Which counter has its answers.
    pub(super) fn answers(self) -> u32 {
        match self {
            Self::SipFilter | Self::Kamailio { .. } => ANSWERS,
            Self::AfXdpReflector | Self::XdpTxReflector => REFLECTED,
        }
    }

    /// The rate at which the search for what it can do begins.
    pub(super) fn begin(self) -> f64 {
        if let Self::Kamailio { .. } = self { SLOW } else { FAST }
    }

    /// Starts it.
    pub(super) fn start(self, stage: &Stage) -> Result<Running> {
        cpu::as_answerer(|| match self {
            Self::SipFilter => {
                let (daemon, installation) = servers::sip_filter(stage, PROXY_INTERFACE, &[])?;
                Ok(Running::SipFilter(daemon, installation))
            }
            Self::AfXdpReflector => Reflector::start(&stage.inside).map(Running::AfXdpReflector),
            Self::XdpTxReflector => xdp_tx(stage),
            Self::Kamailio { children, memory } => {
                let options = Options { children, memory, ..Options::default() };
                servers::kamailio(stage, &options).map(Running::Kamailio)
            }
        })
    }
}

fn xdp_tx(stage: &Stage) -> Result<Running> {
    let mut bench = programs::load()?;
    let reflect = programs::program(&mut bench, "reflect")?;
    stage.inside.run(|| reflect.attach(PROXY_INTERFACE, XdpMode::Driver)).context("attach the reflector")?;
    Ok(Running::XdpTxReflector(bench))
}
