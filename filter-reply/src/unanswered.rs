//! The reasons for which a request gets no response.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// Why a request that was handed to the responder got no response. Each such request is counted under exactly one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[error("{}", self.meaning())]
        pub enum Unanswered {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Unanswered {
            /// All reasons, in the order of their numbers: `ALL[n] as usize == n`.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name of the reason in `sip-filter stats` and in the control protocol.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What the reason means, in one line.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

reasons! {
    /// Not a whole UDP datagram over IPv4 or IPv6 with the headers that the XDP program lets through.
    Unreadable => "unreadable",
    /// From or to an address, Ethernet or IP, that is no host's: a response would reach a group.
    NotUnicast => "not_unicast",
    /// From UDP port 0, which says that no response is wanted (RFC 768).
    SourcePort => "source_port",
    /// The start line is not that of a SIP/2.0 request.
    StartLine => "start_line",
    /// A method that is never refused (ACK, BYE, CANCEL …), or that is not known.
    Method => "method",
    /// A header line without a colon, or no empty line after the headers.
    Headers => "headers",
    /// The headers that the response repeats stand in more places than there is room to note.
    Scattered => "scattered",
    /// Two From, To, Call-ID or CSeq headers.
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
    /// The topmost Via is not what RFC 3261 section 25.1 says, or has a parameter twice.
    MalformedVia => "malformed_via",
    /// The To header is not what RFC 3261 section 25.1 says, or has two tags.
    MalformedTo => "malformed_to",
    /// The CSeq header is not a number and a method.
    MalformedCseq => "malformed_cseq",
    /// The method of the CSeq header is another than that of the request (RFC 3261 section 8.1.1.5).
    CseqMethod => "cseq_method",
    /// The To header has a tag: the request belongs to a call that is up.
    InDialog => "in_dialog",
    /// The topmost Via asks for a response to a port that does not exist.
    ReplyPort => "reply_port",
    /// The response would not fit into the frame or the MTU.
    TooLong => "too_long",
    /// The response would be longer than the request by more than 200 octets.
    Amplification => "amplification",
    /// It has waited for longer than the lease lasts: by now, its retransmissions have gone to the proxy.
    Late => "late",
    /// There was no room to send the response.
    Unsent => "unsent",
}

#[cfg(test)]
mod tests {
    use super::Unanswered;

    #[test]
    fn each_reason_has_its_number_and_a_name_of_its_own() {
        for (number, reason) in Unanswered::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
            let same_name = Unanswered::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same_name.count(), 1, "{}", reason.name());
        }
    }
}
