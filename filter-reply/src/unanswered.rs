//! The reasons why a request gets no response. `docs/manual/control-protocol.md` says why these, and no others.

filter_common::reasons! {
    /// The reason why a request that reached the responder got no response.
    ///
    /// Each such request is counted under exactly one reason.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
    #[error("{}", self.meaning())]
    pub enum Unanswered {
        /// Not a whole UDP datagram over IPv4 or IPv6 with headers that the XDP program lets through.
        Unreadable => "unreadable",
        /// An Ethernet or IP address that is not a host's: a response would go to a group.
        NotUnicast => "not_unicast",
        /// Source port 0, which means that no response is wanted (RFC 768).
        SourcePort => "source_port",
        /// A start line that is not that of a SIP/2.0 request.
        StartLine => "start_line",
        /// A method that is never refused (ACK, BYE, CANCEL …) or that is unknown.
        Method => "method",
        /// A To line without a colon, a malformed line end, or no empty line after the headers.
        Headers => "headers",
        /// Headers that the response repeats in more than 768 separate places.
        Scattered => "scattered",
        /// Two To headers.
        Duplicate => "duplicate",
        /// No Via header.
        NoVia => "no_via",
        /// No From header.
        NoFrom => "no_from",
        /// No To header.
        NoTo => "no_to",
        /// No Call-ID header.
        NoCallId => "no_call_id",
        /// No CSeq header.
        NoCseq => "no_cseq",
        /// A topmost Via that is not one of SIP/2.0, or has no host, no port and no rport.
        MalformedVia => "malformed_via",
        /// A To header that does not conform to RFC 3261 section 25.1.
        MalformedTo => "malformed_to",
        /// A To header with a tag: the request belongs to an established call.
        InDialog => "in_dialog",
        /// A response that does not fit into the frame or the MTU.
        TooLong => "too_long",
        /// A response that would be more than 200 bytes longer than its request.
        Amplification => "amplification",
        /// A request that waited for longer than the lease lasts: its retransmissions have passed to the proxy.
        Late => "late",
        /// No free frame or no room in the TX ring for the response.
        Unsent => "unsent",
    }
}

#[cfg(test)]
mod tests {
    use super::Unanswered;
    use crate::MAX_GROWTH;
    use crate::sip::request::MAX_RUNS;

    #[test]
    fn meanings_have_the_limits() {
        assert!(Unanswered::Scattered.meaning().contains(&format!(" {MAX_RUNS} ")));
        assert!(Unanswered::Amplification.meaning().contains(&format!(" {MAX_GROWTH} ")));
    }

    #[test]
    fn each_reason_has_its_number_and_its_own_name() {
        for (number, reason) in Unanswered::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
            let same_name = Unanswered::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same_name.count(), 1, "{}", reason.name());
        }
    }
}
