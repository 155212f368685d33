//! The states of the ports of a team, which rtnetlink does not report: the options of the generic netlink family `team`
//! (`include/uapi/linux/if_team.h`).

use std::collections::BTreeMap;
use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable as _, NLA_HEADER_SIZE, NLM_F_ACK, NetlinkDeserializable, NetlinkHeader,
    NetlinkSerializable, NlasIterator,
};
use netlink_sys::protocols::NETLINK_GENERIC;

use super::device::BondPort;
use super::netlink;

/// Mode in which a team uses one port and keeps the others as a backup.
const ACTIVE_BACKUP: &str = "activebackup";

/// The options of a team that say which ports it receives from.
#[derive(Debug, Default)]
pub(super) struct States {
    /// Name of the mode; `None` if the states are unknown.
    mode: Option<String>,
    /// Active port, in the mode that has one.
    active: Option<u32>,
    /// True for each port that is enabled: the team drops what the others receive.
    enabled: BTreeMap<u32, bool>,
}

impl States {
    /// Reads the states from the kernel. They are unknown to a process without `CAP_NET_ADMIN`, and if the team has
    /// just gone.
    pub(super) fn read(team: u32) -> io::Result<Self> {
        match options(team) {
            Ok(messages) => Ok(Self::from_messages(&messages)),
            Err(error) => match error.raw_os_error() {
                Some(libc::EPERM | libc::EINVAL | libc::ENODEV | libc::ENOENT) => Ok(Self::default()),
                _ => Err(error),
            },
        }
    }

    /// Returns the state of a port, or `None` if it is unknown.
    pub(super) fn port(&self, ifindex: u32) -> Option<BondPort> {
        let is_enabled = *self.enabled.get(&ifindex)?;
        let has_backups = self.mode.as_deref()? == ACTIVE_BACKUP;
        let is_backup = !is_enabled || (has_backups && self.active != Some(ifindex));
        Some(BondPort { is_backup, is_up: true, is_aggregated: is_enabled || has_backups })
    }

    fn from_messages(messages: &[Message]) -> Self {
        const TEAM_ATTR_LIST_OPTION: u16 = 2;
        let mut this = Self::default();
        for message in messages {
            for list in values(&message.attributes, TEAM_ATTR_LIST_OPTION) {
                for (_, option) in attributes(list) {
                    this.read_option(option);
                }
            }
        }
        this
    }

    fn read_option(&mut self, option: &[u8]) {
        const TEAM_ATTR_OPTION_NAME: u16 = 1;
        const TEAM_ATTR_OPTION_DATA: u16 = 4;
        const TEAM_ATTR_OPTION_PORT_IFINDEX: u16 = 6;
        let data = values(option, TEAM_ATTR_OPTION_DATA).next();
        let port = values(option, TEAM_ATTR_OPTION_PORT_IFINDEX).next().and_then(number);
        // A boolean is true if it is there.
        let is_true = data.is_some();
        match (values(option, TEAM_ATTR_OPTION_NAME).next().and_then(text), port) {
            (Some("mode"), None) => self.mode = data.and_then(text).map(str::to_owned),
            (Some("activeport"), None) => self.active = data.and_then(number),
            // Newer kernels can also enable a port in one direction.
            (Some("enabled"), Some(port)) => drop(self.enabled.entry(port).or_insert(is_true)),
            (Some("rx_enabled"), Some(port)) => drop(self.enabled.insert(port, is_true)),
            _ => {}
        }
    }
}

/// A message of a family of generic netlink (`struct genlmsghdr`).
#[derive(Debug)]
struct Message {
    family: u16,
    command: u8,
    attributes: Vec<u8>,
}

impl Message {
    /// Length of the header in bytes.
    const HEADER: usize = 4;
    /// Version of both families.
    const VERSION: u8 = 1;

    fn new(family: u16, command: u8, attribute: &DefaultNla) -> Self {
        let mut attributes = vec![0; attribute.buffer_len()];
        attribute.emit(&mut attributes);
        Self { family, command, attributes }
    }

    /// Sends the message as a request and returns the messages of the reply.
    fn ask(self) -> io::Result<Vec<Self>> {
        Ok(netlink::ask(NETLINK_GENERIC, NLM_F_ACK, self)?.unwrap_or_default())
    }
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        Self::HEADER + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(Self::HEADER);
        header.copy_from_slice(&[self.command, Self::VERSION, 0, 0]);
        attributes.copy_from_slice(&self.attributes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let (message, attributes) = payload.split_at_checked(Self::HEADER).ok_or("a header of generic netlink")?;
        let command = message.first().copied().unwrap_or_default();
        Ok(Self { family: header.message_type, command, attributes: attributes.to_vec() })
    }
}

/// Asks the kernel for the options of a team.
fn options(team: u32) -> io::Result<Vec<Message>> {
    const TEAM_CMD_OPTIONS_GET: u8 = 2;
    const TEAM_ATTR_TEAM_IFINDEX: u16 = 1;
    let ifindex = DefaultNla::new(TEAM_ATTR_TEAM_IFINDEX, team.to_ne_bytes().to_vec());
    Message::new(family()?, TEAM_CMD_OPTIONS_GET, &ifindex).ask()
}

/// Asks the kernel for the number of the family `team`.
fn family() -> io::Result<u16> {
    const GENL_ID_CTRL: u16 = 0x10;
    const CTRL_CMD_GETFAMILY: u8 = 3;
    const CTRL_ATTR_FAMILY_ID: u16 = 1;
    const CTRL_ATTR_FAMILY_NAME: u16 = 2;
    let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, b"team\0".to_vec());
    let reply = Message::new(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name).ask()?;
    let id = reply.iter().find_map(|message| values(&message.attributes, CTRL_ATTR_FAMILY_ID).next()?.try_into().ok());
    id.map(u16::from_ne_bytes).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Returns the kinds and values of attributes.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|attribute| {
        let (kind, end) = (attribute.kind(), usize::from(attribute.length()));
        (kind, attribute.into_inner().get(NLA_HEADER_SIZE..end).unwrap_or_default())
    })
}

/// Returns the values of the attributes of one kind.
fn values(bytes: &[u8], kind: u16) -> impl Iterator<Item = &[u8]> {
    attributes(bytes).filter(move |(found, _)| *found == kind).map(|(_, value)| value)
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

/// Returns a text without the zero that ends it.
fn text(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok().map(|text| text.trim_end_matches('\0'))
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{DefaultNla, Emitable as _};

    use super::{BondPort, Message, States};

    /// An option of a team: its name, port and data.
    type TeamOption<'a> = (&'a str, Option<u32>, Option<&'a [u8]>);

    fn nested(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
        let mut value = vec![0; attributes.buffer_len()];
        attributes.emit(&mut value);
        DefaultNla::new(kind, value)
    }

    /// Returns the states after a message with these options.
    fn states(options: &[TeamOption<'_>]) -> States {
        let option = |(name, port, data): &TeamOption<'_>| {
            let mut attributes = vec![DefaultNla::new(1, format!("{name}\0").into_bytes())];
            attributes.extend(data.map(|data| DefaultNla::new(4, data.to_vec())));
            attributes.extend(port.map(|port| DefaultNla::new(6, port.to_ne_bytes().to_vec())));
            nested(1, &attributes)
        };
        let options: Vec<DefaultNla> = options.iter().map(option).collect();
        States::from_messages(&[Message::new(0x1f, 2, &nested(2, &options))])
    }

    fn is_backup(states: &States, port: u32) -> Option<bool> {
        states.port(port).map(|port| port.is_backup)
    }

    #[test]
    fn only_the_active_port_is_no_backup() {
        let active = 8_u32.to_ne_bytes();
        let ports = [("enabled", Some(7), Some(&[][..])), ("enabled", Some(8), Some(&[]))];
        let mode = ("mode", None, Some(b"activebackup\0".as_slice()));
        let states = states(&[ports[0], ports[1], mode, ("activeport", None, Some(&active))]);
        assert_eq!([7, 8, 9].map(|port| is_backup(&states, port)), [Some(true), Some(false), None]);
        assert!(states.port(7).is_some_and(|port| port.is_aggregated), "a backup is ready");
    }

    #[test]
    fn port_that_is_disabled_for_reception_is_not_in_use() {
        let ports = [("enabled", Some(7), None), ("enabled", Some(8), None), ("rx_enabled", Some(8), Some(&[][..]))];
        let states = states(&[ports[0], ports[1], ports[2], ("mode", None, Some(b"loadbalance\0"))]);
        assert_eq!(states.port(7), Some(BondPort { is_backup: true, is_up: true, is_aggregated: false }));
        assert_eq!(states.port(8), Some(BondPort { is_backup: false, is_up: true, is_aggregated: true }));
    }

    #[test]
    fn states_are_unknown_without_options() {
        assert_eq!(States::default().port(7), None);
    }
}
