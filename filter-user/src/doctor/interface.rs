//! Checks of an interface: what would keep `run` from attaching to it, or make it slower than it could be.

use std::collections::HashMap;

use filter_common::maps::MAX_FRAME;
use xdp::nic::NicIndex;

use super::Finding;
use super::daemon::Daemon;
use crate::config::RunSettings;
use crate::dataplane::ethtool::{self, Channels, Offload};
use crate::dataplane::{Error, Mode, native_mtu};
use crate::network::{Device, Network};

/// Ability of the driver to run the XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Native {
    Yes {
        zero_copy: bool,
    },
    No,
    /// Linux reports it since 6.3 (the netlink family `netdev`).
    Unknown,
}

/// A network interface with what is known of it.
#[derive(Debug)]
pub(super) struct Nic {
    device: Device,
    driver: Option<String>,
    channels: Channels,
    offloads: HashMap<String, Offload>,
    native: Native,
    /// Names of the VLAN devices on top of it.
    vlan_devices: Vec<String>,
    /// Devices above or below it that have an XDP program.
    occupied_relatives: Vec<Device>,
}

impl Nic {
    /// Reads what is known of an interface.
    pub(super) fn inspect(network: &Network, device: &Device) -> Result<Self, Error> {
        let relatives = network.relatives(device.ifindex);
        let vlan_devices = network.vlan_devices(device.ifindex);
        let native = match NicIndex::new(device.ifindex).query_capabilities() {
            Err(_) => Native::Unknown,
            Ok(can) if can.xdp_features.basic() && can.xdp_features.redirect() => {
                Native::Yes { zero_copy: can.xdp_features.zero_copy() }
            }
            Ok(_) => Native::No,
        };
        Ok(Self {
            driver: ethtool::driver(&device.name),
            offloads: ethtool::offloads(&device.name).unwrap_or_default(),
            channels: Channels::of(device)?,
            device: device.clone(),
            native,
            vlan_devices: vlan_devices.into_iter().map(|device| device.name.clone()).collect(),
            occupied_relatives: relatives.into_iter().filter(|relative| relative.program.is_some()).cloned().collect(),
        })
    }

    /// Returns the number of RX queues.
    pub(super) fn rx_queues(&self) -> u32 {
        self.channels.rx
    }

    pub(super) fn findings(&self, run: &RunSettings, daemon: &Daemon) -> Vec<Finding> {
        let mode = Wanted { mode: run.mode, zero_copy: run.zero_copy };
        let ours = self.device.program.is_some_and(|program| daemon.owns_program(program.id));
        let mut findings =
            vec![self.up(), self.program(ours), self.native(mode), self.queues(), self.vlan(), self.mtu()];
        findings.extend(self.kind());
        findings.extend(self.merging());
        findings.extend(self.driver_limits());
        findings.extend(self.spare_queues(mode).filter(|_| !ours));
        findings.extend(self.lro(mode));
        findings
    }

    fn name(&self) -> &str {
        &self.device.name
    }

    /// Returns the driver, for a sentence.
    fn driver(&self) -> String {
        self.driver.as_ref().map_or_else(|| "its driver".to_owned(), |driver| format!("its driver {driver}"))
    }

    fn up(&self) -> Finding {
        let why = "calls arrive only on an interface that is up";
        match self.device {
            Device { up: false, .. } => {
                Finding::warning("link", "it is down", why, format!("ip link set {} up", self.name()))
            }
            Device { carrier: false, .. } => Finding::warning(
                "link",
                "it is up, but has no carrier",
                why,
                "check its cable, and the device at the other end",
            ),
            _ => Finding::ok("link", "it is up", why),
        }
    }

    /// Checks the XDP program on the interface; `ours` if it belongs to the daemon.
    fn program(&self, ours: bool) -> Finding {
        let why = "`sip-filter run` leaves another XDP program alone and ends";
        match &self.device.program {
            None if !self.occupied_relatives.is_empty() => {
                let describe =
                    |relative: &Device| Some(format!("{} on {}", relative.program?.describe(), relative.name));
                let programs: Vec<String> = self.occupied_relatives.iter().filter_map(describe).collect();
                let fact = format!("a device above or below it has an XDP program: {}", programs.join(", "));
                let why = "the kernel allows none on an interface while one is on a device above it";
                Finding::failure(
                    "program",
                    fact,
                    why,
                    "stop the program on that device, or name that device with --iface",
                )
            }
            None => Finding::ok(
                "program",
                "no XDP program is on it, or on devices above and below it in this network namespace",
                why,
            ),
            Some(program) if ours => {
                let fact = format!("the XDP program on it, {}, belongs to the daemon", program.describe());
                Finding::ok("program", fact, why)
            }
            Some(program) => Finding::failure(
                "program",
                Error::occupied(self.name(), *program).to_string(),
                why,
                "stop the program that attached it; if it was left behind: `ip link set IF xdp off`"
                    .replace("IF", self.name()),
            ),
        }
    }

    fn native(&self, wanted: Wanted) -> Finding {
        let why = "in the driver (native), a packet is checked before the kernel does any work for it; in the network \
                   stack (generic), each packet costs more";
        let driver = self.driver();
        if wanted.mode == Mode::Generic {
            return Finding::ok("mode", format!("{driver} does not matter: generic mode was chosen"), why);
        }
        if let Some(most) = native_mtu::limit(self.name()).filter(|most| self.device.mtu > *most) {
            let interface = self.name().to_owned();
            let fact = Error::NativeMtu { interface, mtu: self.device.mtu, most }.to_string();
            let fix = format!("ip link set {} mtu {most}", self.name());
            return if wanted.is_driver_only() {
                Finding::failure("mode", fact, why, fix)
            } else {
                Finding::warning("mode", format!("{fact}; it will run in generic mode"), why, fix)
            };
        }
        // virtio_net rejects XDP if its host does not let it turn off what merges packets (`virtnet_xdp_set()`).
        let merging = self.is_virtio() && self.offload("rx-gro-hw") == Some(Offload { on: true, fixed: true });
        let most_accepted = self.driver.as_deref().and_then(native_mtu::most_accepted);
        let exceeded = most_accepted.filter(|most| self.device.mtu > *most);
        let (fact, fix) = match (self.native, exceeded) {
            (Native::Yes { .. } | Native::Unknown, Some(most)) => (
                format!(
                    "{driver} accepts the XDP program only up to an MTU of {most}, and its MTU is {mtu}",
                    mtu = self.device.mtu
                ),
                format!("ip link set {} mtu {most}", self.name()),
            ),
            (Native::Yes { zero_copy: false }, None) if wanted.zero_copy => {
                (format!("{driver} has no zero-copy"), "leave out `--zero-copy`".to_owned())
            }
            (Native::Yes { .. }, None) if !merging => {
                return Finding::ok("mode", format!("{driver} can run the XDP program (native mode)"), why);
            }
            (Native::Unknown, None) if !merging => {
                let fact = format!("whether {driver} can run the XDP program (native mode) is not known here");
                return Finding::ok(
                    "mode",
                    fact,
                    format!("{why}; the first line of `sip-filter run` shows which it is"),
                );
            }
            _ if merging => (
                format!("{driver} rejects the XDP program: rx-gro-hw is on and cannot be turned off"),
                "on its host, let the guest control its offloads (QEMU: ctrl_guest_offloads=on)".to_owned(),
            ),
            _ if self.device.is_kind("veth") => (
                format!("{driver} cannot run the XDP program as it is configured"),
                format!("give {} as many RX queues as its peer has TX queues", self.name()),
            ),
            _ => (
                format!("{driver} cannot run the XDP program"),
                "none is needed; a NIC whose driver can would be faster".to_owned(),
            ),
        };
        if wanted.is_driver_only() {
            let fix = format!("{fix}; or leave out `--mode native` and `--zero-copy`");
            return Finding::failure("mode", format!("{fact}, and generic mode was ruled out"), why, fix);
        }
        Finding::warning("mode", format!("{fact}: it will run in generic mode"), why, fix)
    }

    fn queues(&self) -> Finding {
        let Channels { rx, tx, .. } = self.channels;
        let why = "a response leaves by the TX queue with the number of the RX queue of its request";
        match self.channels.check(self.name()) {
            Ok(()) => Finding::ok("queues", format!("it has {rx} RX queues and {tx} TX queues"), why),
            Err(error) => {
                let fix = format!("ethtool -L {} rx {tx}", self.name());
                Finding::failure("queues", error.to_string(), why, fix)
            }
        }
    }

    /// Predicts [`Error::QueuesAppeared`], the error of `run` after the driver has opened more queues.
    fn spare_queues(&self, wanted: Wanted) -> Option<Finding> {
        let Channels { combined, max_combined, .. } = self.channels;
        if !self.is_virtio() || wanted.mode == Mode::Generic || max_combined <= combined {
            return None;
        }
        let fact = format!("it uses {combined} of {max_combined} queue pairs");
        let why = "virtio_net may open spare ones when the XDP program is attached, which `sip-filter run` treats as a \
                   failure of native mode: calls on them could not be refused";
        let fix = format!("ethtool -L {} combined {max_combined}", self.name());
        Some(Finding::warning("spare-queues", fact, why, fix))
    }

    /// Checks that the XDP program sees the VLAN tags of calls, where there are VLAN devices.
    fn vlan(&self) -> Finding {
        const TAGS: [(&str, &str); 2] =
            [("rx-vlan-hw-parse", "rxvlan"), ("rx-vlan-stag-hw-parse", "rx-vlan-stag-hw-parse")];
        let why = "a response would leave without the VLAN tag that the XDP program does not see, so that new calls to \
                   addresses of VLAN devices pass";
        if self.vlan_devices.is_empty() {
            return Finding::ok("vlan", "there are no VLAN devices on it", why);
        }
        let devices = self.vlan_devices.join(", ");
        let itself = format!("or name the VLAN devices themselves: `--iface {}`", self.vlan_devices.join(","));
        if self.device.kind.is_some() {
            let fact = format!("it is virtual and shows no VLAN tags, and has VLAN devices: {devices}");
            return Finding::warning("vlan", fact, why, itself.trim_start_matches("or ").to_owned());
        }
        let on: Vec<(&str, Offload)> = TAGS
            .into_iter()
            .filter_map(|(name, option)| Some((option, self.offload(name)?)))
            .filter(|(_, offload)| offload.on)
            .collect();
        if on.is_empty() {
            return Finding::ok("vlan", format!("it leaves VLAN tags in the frames, for {devices}"), why);
        }
        let off: Vec<String> = on.iter().map(|(option, _)| format!("{option} off")).collect();
        let fix = if on.iter().any(|(_, offload)| offload.fixed) {
            format!("its driver cannot turn that off: {}", itself.trim_start_matches("or "))
        } else {
            format!("ethtool -K {} {}; {itself}", self.name(), off.join(" "))
        };
        let fact = format!("it removes VLAN tags from the frames (rx-vlan-offload), and has VLAN devices: {devices}");
        Finding::warning("vlan", fact, why, fix)
    }

    /// Checks for offloads that merge several datagrams into one packet.
    fn merging(&self) -> Option<Finding> {
        const OFFLOADS: [&str; 2] = ["rx-udp-gro-forwarding", "rx-gro-list"];
        let on: Vec<&str> =
            OFFLOADS.into_iter().filter(|name| self.offload(name).is_some_and(|offload| offload.on)).collect();
        if on.is_empty() {
            return None;
        }
        let fact = format!("it may merge datagrams ({})", on.join(", "));
        let why = "in generic mode, new calls that were merged into one packet pass as `merged`";
        let off: Vec<String> = on.iter().map(|name| format!("{name} off")).collect();
        Some(Finding::warning("merging", fact, why, format!("ethtool -K {} {}", self.name(), off.join(" "))))
    }

    /// Checks for what the driver is known to lack.
    fn driver_limits(&self) -> Option<Finding> {
        let name = self.name();
        let (fact, why, fix) = match self.driver.as_deref()? {
            "hv_netvsc" => (
                "its driver hv_netvsc receives by a virtual function, if the host gives it one".to_owned(),
                "packets then arrive on the interface of the virtual function, whose queues are not those of this one",
                "`ip link` lists it, as a port of this one; in Azure, switch accelerated networking off if calls pass as \
                 `no_lease`"
                    .to_owned(),
            ),
            "ena" => (
                "its driver ena can run the XDP program only with half of its queues".to_owned(),
                "with more it runs in generic mode, in which each packet costs more",
                format!("ethtool -L {name} combined N, where N is at most half of the maximum in `ethtool -l {name}`"),
            ),
            _ => return None,
        };
        Some(Finding::warning("driver", fact, why, fix))
    }

    fn mtu(&self) -> Finding {
        /// Length of an Ethernet header with two VLAN tags, in bytes.
        const HEADER: usize = 14 + 2 * 4;
        let most = MAX_FRAME as usize - HEADER;
        let mtu = self.device.mtu as usize;
        let why = format!(
            "an INVITE in a frame of more than {MAX_FRAME} bytes passes to the proxy, since no AF_XDP frame can hold it"
        );
        if mtu <= most {
            return Finding::ok("mtu", format!("its MTU is {mtu}"), why);
        }
        let fix = format!("ip link set {} mtu {most}, or less; none is needed if no INVITE is that large", self.name());
        Finding::warning("mtu", format!("its MTU is {mtu}"), why, fix)
    }

    fn kind(&self) -> Option<Finding> {
        let stack = "its packets have passed the network stack of the device below, so that work is not saved";
        let (what, why, lower) = match self.device.kind.as_deref()? {
            "bridge" => ("a bridge", stack, "its port on which calls arrive"),
            "vlan" => ("a VLAN device", stack, "the device below it, with rxvlan off where it is a NIC"),
            "macvlan" | "ipvlan" => ("a device on top of another", stack, "the device below it"),
            _ => return None,
        };
        Some(Finding::warning("kind", format!("it is {what}"), why, format!("attach to {lower}")))
    }

    fn lro(&self, wanted: Wanted) -> Option<Finding> {
        let lro = self.offload("rx-lro").filter(|lro| lro.on && wanted.mode != Mode::Generic)?;
        let why = "some drivers (mlx5) reject an XDP program while this is on";
        let fix = if lro.fixed { "`--mode generic`".to_owned() } else { format!("ethtool -K {} lro off", self.name()) };
        Some(Finding::warning("lro", "it merges received packets (large-receive-offload)", why, fix))
    }

    fn is_virtio(&self) -> bool {
        self.driver.as_deref() == Some("virtio_net")
    }

    fn offload(&self, name: &str) -> Option<Offload> {
        self.offloads.get(name).copied()
    }
}

/// The way in which `run` is to attach.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    mode: Mode,
    zero_copy: bool,
}

impl Wanted {
    /// Returns whether generic mode is ruled out.
    fn is_driver_only(self) -> bool {
        self.mode == Mode::Native || self.zero_copy
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rstest::rstest;

    use super::{Channels, Device, Finding, Mode, Native, Nic, Offload, Wanted};
    use crate::doctor::Level;

    const AUTO: Wanted = Wanted { mode: Mode::Auto, zero_copy: false };

    /// Returns a NIC without problems.
    fn nic(driver: &str, native: Native) -> Nic {
        Nic {
            device: Device { ifindex: 2, name: "eth0".into(), mtu: 1500, up: true, carrier: true, ..Device::default() },
            driver: Some(driver.into()),
            channels: Channels { rx: 2, tx: 2, combined: 2, max_combined: 2 },
            offloads: HashMap::new(),
            native,
            vlan_devices: Vec::new(),
            occupied_relatives: Vec::new(),
        }
    }

    fn offload(mut nic: Nic, name: &str, fixed: bool) -> Nic {
        nic.offloads.insert(name.into(), Offload { on: true, fixed });
        nic
    }

    fn fix(finding: &Finding) -> &str {
        finding.fix.as_deref().unwrap_or_default()
    }

    const YES: Native = Native::Yes { zero_copy: false };

    #[rstest]
    #[case::native("ixgbe", YES, AUTO, Level::Ok, "native mode")]
    #[case::no_native(
        "e1000e",
        Native::No,
        AUTO,
        Level::Warning,
        "e1000e cannot run the XDP program: it will run in generic mode"
    )]
    #[case::before_6_3("igb", Native::Unknown, AUTO, Level::Ok, "not known here")]
    #[case::native_or_nothing("e1000e", Native::No, Wanted { mode: Mode::Native, zero_copy: false }, Level::Failure, "generic mode was ruled out")]
    #[case::generic_was_chosen("e1000e", Native::No, Wanted { mode: Mode::Generic, zero_copy: false }, Level::Ok, "generic mode")]
    #[case::no_zero_copy("vmxnet3", YES, Wanted { mode: Mode::Auto, zero_copy: true }, Level::Failure, "no zero-copy")]
    #[case::zero_copy("igb", Native::Yes { zero_copy: true }, Wanted { mode: Mode::Auto, zero_copy: true }, Level::Ok, "native mode")]
    fn mode_in_which_run_will_attach_is_predicted(
        #[case] driver: &str,
        #[case] native: Native,
        #[case] wanted: Wanted,
        #[case] level: Level,
        #[case] fact: &str,
    ) {
        let finding = nic(driver, native).native(wanted);
        assert_eq!(finding.level, level, "{finding:?}");
        assert!(finding.fact.contains(fact), "{finding:?}");
    }

    #[test]
    fn virtio_net_whose_host_merges_packets_runs_in_generic_mode() {
        let finding = offload(nic("virtio_net", YES), "rx-gro-hw", true).native(AUTO);
        assert_eq!(finding.level, Level::Warning, "{finding:?}");
        assert!(fix(&finding).contains("ctrl_guest_offloads=on"), "{finding:?}");
        assert_eq!(offload(nic("virtio_net", YES), "rx-gro-hw", false).native(AUTO).level, Level::Ok);
        assert_eq!(offload(nic("bnxt_en", YES), "rx-gro-hw", true).native(AUTO).level, Level::Ok);
    }

    #[test]
    fn spare_queue_pairs_of_virtio_net_are_a_warning() {
        let spare = |driver, wanted| {
            let channels = Channels { rx: 2, tx: 2, combined: 2, max_combined: 4 };
            Nic { channels, ..nic(driver, YES) }.spare_queues(wanted)
        };
        let finding = spare("virtio_net", AUTO).unwrap();
        assert_eq!((finding.level, fix(&finding)), (Level::Warning, "ethtool -L eth0 combined 4"));
        assert_eq!(spare("ixgbe", AUTO), None);
        assert_eq!(spare("virtio_net", Wanted { mode: Mode::Generic, zero_copy: false }), None);
        assert_eq!(nic("virtio_net", YES).spare_queues(AUTO), None);
    }

    #[test]
    fn more_rx_than_tx_queues_is_the_error_of_run() {
        let channels = Channels { rx: 4, tx: 1, combined: 0, max_combined: 0 };
        let finding = Nic { channels, ..nic("veth", YES) }.queues();
        assert_eq!((finding.level, fix(&finding)), (Level::Failure, "ethtool -L eth0 rx 1"));
        assert!(finding.fact.contains("4 RX queues but only 1 TX queues"), "{finding:?}");
    }

    #[test]
    fn vlan_tags_that_the_nic_removes_are_a_warning_where_there_are_vlan_devices() {
        let with_vlan = |nic: Nic| Nic { vlan_devices: vec!["eth0.5".into()], ..nic };
        let stripping = || offload(nic("ixgbe", YES), "rx-vlan-hw-parse", false);
        assert_eq!(stripping().vlan().level, Level::Ok);
        assert_eq!(with_vlan(nic("ixgbe", YES)).vlan().level, Level::Ok);
        let finding = with_vlan(stripping()).vlan();
        assert_eq!(finding.level, Level::Warning);
        assert!(fix(&finding).starts_with("ethtool -K eth0 rxvlan off; or name"), "{finding:?}");
        let both = offload(with_vlan(stripping()), "rx-vlan-stag-hw-parse", false).vlan();
        assert!(fix(&both).starts_with("ethtool -K eth0 rxvlan off rx-vlan-stag-hw-parse off;"), "{both:?}");
        let fixed = with_vlan(offload(nic("ixgbe", YES), "rx-vlan-hw-parse", true)).vlan();
        assert!(fix(&fixed).ends_with("name the VLAN devices themselves: `--iface eth0.5`"), "{fixed:?}");
        let mut virtual_one = with_vlan(nic("veth", YES));
        virtual_one.device.kind = Some("veth".into());
        assert!(fix(&virtual_one.vlan()).contains("--iface eth0.5"));
    }

    #[rstest]
    #[case("ena", "combined N")]
    #[case("hv_netvsc", "virtual")]
    fn known_limits_of_a_driver_are_a_warning(#[case] driver: &str, #[case] text: &str) {
        let mut nic = nic(driver, YES);
        let finding = nic.driver_limits().unwrap();
        assert!(finding.fact.contains(text) || fix(&finding).contains(text), "{finding:?}");
        nic.driver = Some("gve".into());
        assert_eq!(nic.driver_limits(), None);
    }

    #[rstest]
    #[case("igb", 3046)]
    #[case("vmxnet3", 3494)]
    #[case("ena", 3498)]
    #[case("gve", 2032)]
    fn mtu_at_which_the_driver_rejects_the_program_means_generic_mode(#[case] driver: &str, #[case] most: u32) {
        let native_only = Wanted { mode: Mode::Native, zero_copy: false };
        for native in [YES, Native::Unknown] {
            let mut nic = nic(driver, native);
            nic.device.mtu = most;
            assert_eq!(nic.native(AUTO).level, Level::Ok);
            nic.device.mtu = most + 1;
            let finding = nic.native(AUTO);
            assert_eq!(
                (finding.level, fix(&finding)),
                (Level::Warning, format!("ip link set eth0 mtu {most}").as_str())
            );
            assert!(finding.fact.ends_with("it will run in generic mode"), "{finding:?}");
            assert_eq!(nic.native(native_only).level, Level::Failure);
        }
    }

    #[test]
    fn offloads_that_merge_datagrams_are_a_warning() {
        assert_eq!(nic("veth", YES).merging(), None);
        let finding = offload(nic("ixgbe", YES), "rx-udp-gro-forwarding", false).merging().unwrap();
        assert_eq!(fix(&finding), "ethtool -K eth0 rx-udp-gro-forwarding off");
    }

    #[rstest]
    #[case(1500, Level::Ok)]
    #[case(3818, Level::Ok)]
    #[case(3819, Level::Warning)]
    #[case(9000, Level::Warning)]
    fn mtu_that_allows_frames_too_long_for_af_xdp_is_a_warning(#[case] mtu: usize, #[case] level: Level) {
        let mut nic = nic("ixgbe", YES);
        nic.device.mtu = mtu as u32;
        assert_eq!(nic.mtu().level, level);
    }

    #[test]
    fn lro_is_a_warning_unless_generic_mode_was_chosen() {
        let nic = offload(nic("mlx5_core", YES), "rx-lro", false);
        assert_eq!(fix(&nic.lro(AUTO).unwrap()), "ethtool -K eth0 lro off");
        assert_eq!(nic.lro(Wanted { mode: Mode::Generic, zero_copy: false }), None);
    }

    #[rstest]
    #[case("bridge", Some("its port"))]
    #[case("vlan", Some("the device below"))]
    #[case("veth", None)]
    fn device_on_top_of_others_is_a_warning(#[case] kind: &str, #[case] attach_to: Option<&str>) {
        let mut nic = nic("x", YES);
        nic.device.kind = Some(kind.into());
        let finding = nic.kind();
        assert_eq!(finding.is_some(), attach_to.is_some());
        assert!(finding.is_none_or(|finding| fix(&finding).contains(attach_to.unwrap())));
    }
}
