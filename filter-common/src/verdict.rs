//! The verdicts of the XDP program on packets.

crate::reasons! {
    /// The verdict on a packet: what became of it, and why. Each packet that the XDP program sees is counted under one.
    #[repr(u32)]
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Verdict {
        /// Neither IPv4 nor IPv6 (ARP, more than two VLAN tags …): passed.
        NotIp => "not_ip",
        /// IP, but not UDP (TCP, ICMP, an IPv6 extension header that is not skipped …): passed.
        NotUdp => "not_udp",
        /// UDP to a port on which the proxy does not listen: passed.
        OtherPort => "other_port",
        /// Fragment of an IP packet: passed.
        Fragment => "fragment",
        /// Headers that contradict each other or the frame (lengths, version …): passed.
        Malformed => "malformed",
        /// Request that might be refused, but to or from an address of no single host (multicast, broadcast,
        /// unspecified): passed.
        NotUnicast => "not_unicast",
        /// Request that might be refused, but to a MAC address or in a VLAN of another host (on a bridge, in
        /// promiscuous mode …): passed.
        OtherHost => "other_host",
        /// Request that might be refused, but to an address that this host does not shield (--address): passed.
        OtherAddress => "other_address",
        /// Request that might be refused, but from one of this host's own addresses: passed.
        OwnSource => "own_source",
        /// Request that might be refused, but received by a backup member of a bond: passed, and the kernel drops it.
        Backup => "backup",
        /// Request that might be refused, but may have lost its VLAN tag in the NIC, which the response would need:
        /// passed.
        VlanStripped => "vlan_stripped",
        /// Request that might be refused, but in a packet that may hold several (GSO, GRO): passed.
        Merged => "merged",
        /// Request that might be refused, but longer than an AF_XDP frame, or in several buffers (jumbo MTU): passed.
        TooLong => "too_long",
        /// To the proxy's port, but not a request that could be refused (other methods, responses, keep-alives, not
        /// SIP): passed.
        NotInvite => "not_invite",
        /// INVITE while maintenance is off: passed.
        Off => "off",
        /// Request that would be refused, but no responder serves its queue (starting, hung, not served): passed.
        NoLease => "no_lease",
        /// Request within a dialog, so of an established call (its To header has a tag): passed.
        InDialog => "in_dialog",
        /// Request that is not proven to be new (two To headers, unclosed quote …): passed.
        Undecided => "undecided",
        /// New request from a bypass prefix: passed.
        Bypass => "bypass",
        /// New request outside the scope of maintenance (sip-filter scope): passed.
        OutOfScope => "out_of_scope",
        /// New request of an emergency call, or of similar urgency (Priority, Resource-Priority): passed.
        Emergency => "emergency",
        /// Request that replaces or joins an established call (Replaces, Join): passed.
        Replaces => "replaces",
        /// Retransmission of an INVITE that passed: passed.
        Seen => "seen",
        /// New INVITE of the share that is not refused: passed.
        Spared => "spared",
        /// Request that would be refused, but the queue has no socket: passed.
        NoSocket => "no_socket",
        /// New INVITE: redirected to the responder.
        Redirected => "redirected",
        /// Retransmission of an INVITE that was refused before maintenance ended or the share changed: redirected to
        /// the responder.
        RedirectedAgain => "redirected_again",
        /// Request other than INVITE that the policy refuses: redirected to the responder.
        RedirectedMethod => "redirected_method",
        /// ACK to one of our responses: dropped, since the proxy has no transaction for it.
        AckAbsorbed => "ack_absorbed",
    }
}

impl Verdict {
    /// The number of verdicts: the size of [`VERDICTS`](crate::maps::VERDICTS).
    pub const COUNT: u32 = Self::ALL.len() as u32;

    /// Returns whether the packet went to the responder.
    pub const fn is_redirect(self) -> bool {
        matches!(self, Self::Redirected | Self::RedirectedAgain | Self::RedirectedMethod)
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn verdicts_are_in_the_order_of_their_numbers() {
        for (number, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(*verdict as usize, number);
        }
    }
}
