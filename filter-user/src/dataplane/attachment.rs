//! Attaching the XDP program to an interface, by a `bpf_link` whose only descriptor is ours.

#![expect(unsafe_code, reason = "aya has no function that creates a `bpf_link` and nothing else")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use super::ethtool::Channels;
use super::{Error, Mode, Options, native_mtu};
use crate::network::{AttachMode, Device, Network};

/// A program on an interface. Dropping it detaches the program.
///
/// The descriptor is the only reference to the link, so the kernel also detaches the program when the process dies, for
/// whatever reason.
#[derive(Debug)]
pub struct Attachment {
    _link: OwnedFd,
    place: Place,
}

/// The place in which the kernel runs the program.
#[derive(Clone, Copy, Debug)]
enum Place {
    Native,
    Generic,
}

impl Place {
    const fn mode(self) -> AttachMode {
        match self {
            Self::Native => AttachMode::Native,
            Self::Generic => AttachMode::Generic,
        }
    }

    /// Returns the flag of `include/uapi/linux/if_link.h`, which neither `libc` nor `aya` exports.
    const fn flag(self) -> u32 {
        const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
        const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
        match self {
            Self::Native => XDP_FLAGS_DRV_MODE,
            Self::Generic => XDP_FLAGS_SKB_MODE,
        }
    }
}

impl Attachment {
    /// Attaches `program` to an interface, whose `rx_queues` RX queues have responders.
    pub(super) fn new(
        program: BorrowedFd<'_>,
        device: &Device,
        rx_queues: u32,
        options: &Options,
    ) -> Result<Self, Error> {
        let in_place = |place| Self::in_place(place, program, device, rx_queues);
        match options.mode {
            Mode::Generic => in_place(Place::Generic),
            Mode::Native => in_place(Place::Native),
            // Sockets in zero-copy mode need the program in the driver.
            Mode::Auto if options.zero_copy => in_place(Place::Native),
            Mode::Auto => in_place(Place::Native).or_else(|error| {
                if matches!(error, Error::Occupied { .. } | Error::RelativeOccupied { .. }) {
                    return Err(error);
                }
                tracing::warn!("{error}; attaching in generic mode, which is slower");
                in_place(Place::Generic)
            }),
        }
    }

    /// Returns the place in which the program runs.
    pub(super) fn mode(&self) -> AttachMode {
        self.place.mode()
    }

    /// Attaches `program` in one place, and checks that there are still responders for all queues of the interface.
    fn in_place(place: Place, program: BorrowedFd<'_>, device: &Device, rx_queues: u32) -> Result<Self, Error> {
        if matches!(place, Place::Native)
            && let Some(most) = native_mtu::limit(&device.name).filter(|most| device.mtu > *most)
        {
            return Err(Error::NativeMtu { interface: device.name.clone(), mtu: device.mtu, most });
        }
        let link = create_link(program, device.ifindex, place.flag()).map_err(|source| {
            if is_occupied(&source) {
                return occupied(device, source);
            }
            let hint = hint(&source);
            Error::Attach { interface: device.name.clone(), mode: place.mode().name(), source, hint }
        })?;
        // virtio_net opens spare queue pairs for XDP_TX when a program is attached (`virtnet_xdp_set()`), and then
        // receives on them. They have no responders, and what a socket sends on them is lost.
        let Channels { rx: now, max_combined, .. } = Channels::of(device)?;
        if now > rx_queues {
            let (interface, before) = (device.name.clone(), rx_queues);
            return Err(Error::QueuesAppeared { interface, before, now, most: now.max(max_combined) });
        }
        Ok(Self { _link: link, place })
    }
}

/// Creates a `bpf_link` for XDP (`BPF_LINK_CREATE`).
///
/// Does not use `aya::programs::Xdp::attach`, which falls back to netlink if the kernel returns EINVAL: a program that
/// is attached by netlink outlives the daemon.
fn create_link(program: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    /// The member `link_create` of `union bpf_attr` up to its flags. The kernel treats the rest as zero.
    #[repr(C)]
    struct LinkCreate {
        prog_fd: u32,
        target_ifindex: u32,
        attach_type: u32,
        flags: u32,
    }
    // `enum bpf_cmd` and `enum bpf_attach_type` of `include/uapi/linux/bpf.h`.
    const BPF_LINK_CREATE: libc::c_long = 28;
    const BPF_XDP: u32 = 37;
    let attributes =
        LinkCreate { prog_fd: program.as_raw_fd() as u32, target_ifindex: ifindex, attach_type: BPF_XDP, flags };
    // SAFETY: bpf(2) reads `size_of::<LinkCreate>()` bytes from the pointer, which are those of `attributes`: it is
    // initialised, has no padding (four `u32`), and outlives the call. The kernel keeps no pointer to it.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, &raw const attributes, size_of::<LinkCreate>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: on success BPF_LINK_CREATE returns a new descriptor, which nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Returns whether another program is attached: EBUSY for one in the same place, EEXIST for one in the other place or
/// on a device above or below (`dev_xdp_attach()` in `net/core/dev.c`).
fn is_occupied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

/// Returns the error for an interface to which no program can be attached because of another one.
fn occupied(device: &Device, error: io::Error) -> Error {
    let interface = device.name.clone();
    let Ok(network) = Network::read() else {
        return Error::Attach { interface, mode: "any", source: error, hint: "" };
    };
    if let Some(program) = network.device(device.ifindex).and_then(|device| device.program) {
        return Error::occupied(&interface, program);
    }
    let relatives = network.relatives(device.ifindex);
    let found = relatives.iter().find_map(|relative| Some((relative.name.clone(), relative.program?)));
    let (other, program) = match found {
        Some((name, program)) => (format!("device {name}, which is above or below it"), program.describe()),
        None => {
            ("a device above it in another network namespace (a container's macvlan or VLAN)".to_owned(), String::new())
        }
    };
    Error::RelativeOccupied { interface, other, program }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "; run as root, or with CAP_NET_ADMIN and CAP_BPF",
        Some(libc::EOPNOTSUPP) => {
            "; the driver does not support it as it is set up, `--mode generic` (without `--zero-copy`) works with any"
        }
        Some(libc::EINVAL | libc::ENOSPC) => {
            "; the driver may have too few queues or too large an MTU for it (see `dmesg`)"
        }
        _ => "",
    }
}
