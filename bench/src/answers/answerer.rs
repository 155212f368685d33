//! The answerers, started on the answerers' CPU at the proxy's end of the wire.

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya::programs::xdp::XdpMode;
use filter_lab::daemon::Daemon;
use filter_lab::installation::Installation;
use filter_lab::kamailio::{Kamailio, Options};
use filter_lab::wire::PROXY_INTERFACE;

use super::reflector::Reflector;
use crate::layout::{REFLECTED, RESPONSES};
use crate::loss_free::{FAST, SLOW};
use crate::stage::Stage;
use crate::{cpu, programs, servers};

/// A program that answers the load.
#[derive(Clone, Copy)]
pub(super) enum Answerer {
    /// The daemon, with maintenance on.
    SipFilter,
    /// A thread that sends back the frames from an AF_XDP socket.
    AfXdpReflector,
    /// An XDP program that sends back the frames.
    XdpTxReflector,
    /// Kamailio, with a script that refuses new calls.
    Kamailio {
        /// Number of its UDP processes, all on one CPU.
        children: u32,
        /// Memory manager, if not the default one.
        memory: Option<&'static str>,
    },
}

/// An answerer at work, until this value is dropped.
pub(super) enum Running {
    SipFilter(Daemon, #[expect(dead_code, reason = "its files are held, not read")] Installation),
    AfXdpReflector(Reflector),
    XdpTxReflector(#[expect(dead_code, reason = "the attached program is held, not read")] Ebpf),
    Kamailio(Kamailio),
}

impl Running {
    /// Returns the CPU time in seconds spent so far: that of the answerer's processes, and the receive work on the
    /// generator's CPU, which includes packets of others.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let own = match self {
            Self::SipFilter(daemon, _) => cpu::process_seconds(daemon.pid())?,
            Self::AfXdpReflector(reflector) => cpu::thread_seconds(reflector.proc_path())?,
            Self::XdpTxReflector(_) => 0.0,
            Self::Kamailio(kamailio) => {
                kamailio.processes().into_iter().map(cpu::process_seconds).sum::<Result<_>>()?
            }
        };
        Ok(own + cpu::receiving_seconds()?)
    }
}

impl Answerer {
    /// Returns the index at which its responses are counted.
    pub(super) fn counter(self) -> u32 {
        match self {
            Self::SipFilter | Self::Kamailio { .. } => RESPONSES,
            Self::AfXdpReflector | Self::XdpTxReflector => REFLECTED,
        }
    }

    /// Returns the rate at which the search for its loss-free rate begins.
    pub(super) fn first_rate(self) -> f64 {
        if let Self::Kamailio { .. } = self { SLOW } else { FAST }
    }

    /// Starts the answerer.
    pub(super) fn start(self, stage: &Stage) -> Result<Running> {
        cpu::run_as_answerer(|| match self {
            Self::SipFilter => {
                let (daemon, installation) = servers::sip_filter(stage, PROXY_INTERFACE, &[]);
                Ok(Running::SipFilter(daemon, installation))
            }
            Self::AfXdpReflector => Reflector::start(&stage.inside).map(Running::AfXdpReflector),
            Self::XdpTxReflector => start_xdp_tx_reflector(stage),
            Self::Kamailio { children, memory } => {
                let options = Options { children, memory, ..Options::default() };
                Ok(Running::Kamailio(servers::kamailio(stage, &options)))
            }
        })
    }
}

fn start_xdp_tx_reflector(stage: &Stage) -> Result<Running> {
    let mut bench = programs::load()?;
    let reflect = programs::program(&mut bench, "reflect")?;
    stage.inside.run(|| reflect.attach(PROXY_INTERFACE, XdpMode::Driver)).context("attach the reflector")?;
    Ok(Running::XdpTxReflector(bench))
}
