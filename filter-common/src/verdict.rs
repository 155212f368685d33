//! The reasons for which the XDP program lets a packet pass or takes it.

crate::reasons! {
    /// What became of a packet, and why. Each packet that the XDP program sees is counted under exactly one verdict.
    #[repr(u32)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Verdict {
        /// Neither IPv4 nor IPv6 (ARP, more than two VLAN tags …): passed.
        NotIp => "not_ip",
        /// IP, but not UDP (TCP, ICMP, an IPv6 extension header that is not walked …): passed.
        NotUdp => "not_udp",
        /// UDP to a port that is not the proxy's: passed.
        OtherPort => "other_port",
        /// A fragment of an IP packet: passed.
        Fragment => "fragment",
        /// Headers that contradict each other or the frame (lengths, version …): passed.
        Malformed => "malformed",
        /// A request that might be refused, but to or from an address that is no host's (multicast, broadcast, unspecified): passed.
        NotUnicast => "not_unicast",
        /// A request that might be refused, but longer than an AF_XDP frame, or in several buffers (jumbo MTU): passed.
        TooLong => "too_long",
        /// To the proxy's port, but no request that could be refused (other methods, responses, keep-alives, not SIP): passed.
        NotInvite => "not_invite",
        /// An INVITE while maintenance is off: passed.
        Off => "off",
        /// An INVITE while no responder answers for its queue (starting, hung, not served): passed.
        NoLease => "no_lease",
        /// An INVITE within a dialog, so of a call that is up: passed.
        InDialog => "in_dialog",
        /// An INVITE that could not be proven to be new (two To headers, unclosed quote …): passed.
        Undecided => "undecided",
        /// A new INVITE from a bypass prefix: passed.
        Bypass => "bypass",
        /// A new INVITE that is an emergency call, or as urgent (Priority, Resource-Priority): passed.
        Emergency => "emergency",
        /// An INVITE that takes the place of a call that is up, or joins it (Replaces, Join): passed.
        Replaces => "replaces",
        /// An INVITE that passed already and is sent again: passed.
        Seen => "seen",
        /// A new INVITE of the share that is not refused: passed.
        Spared => "spared",
        /// A request that would be refused, but the queue has no socket: passed.
        NoSocket => "no_socket",
        /// A new INVITE, handed to the responder.
        Redirected => "redirected",
        /// An INVITE that was refused before maintenance ended or the share changed, sent again: handed to the responder.
        RedirectedAgain => "redirected_again",
        /// Another request that the policy refuses, handed to the responder.
        RedirectedMethod => "redirected_method",
        /// The ACK to a response of ours: dropped, since the proxy knows nothing of it.
        AckAbsorbed => "ack_absorbed",
    }
}

impl Verdict {
    /// Whether the packet went to the responder.
    pub const fn is_redirect(self) -> bool {
        matches!(self, Self::Redirected | Self::RedirectedAgain | Self::RedirectedMethod)
    }

    /// How many verdicts there are: the size of [`VERDICTS`](crate::maps::VERDICTS).
    pub const COUNT: u32 = Self::ALL.len() as u32;
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn numbers_are_the_order() {
        for (number, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(*verdict as usize, number);
        }
    }
}
