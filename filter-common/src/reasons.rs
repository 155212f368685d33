//! A macro for the reasons under which packets are counted.

/// Declares an enum of reasons, each with a name and a meaning.
///
/// The doc comment of a variant is its meaning, which `sip-filter stats` prints. It has to be one paragraph.
///
/// # Generated items
///
/// * `ALL: &[Self]`: all variants in the order of their numbers, so that `ALL[reason as usize] == reason`;
/// * `name(self) -> &'static str`: the name in the control protocol, in `sip-filter stats` and in metrics;
/// * `meaning(self) -> &'static str`: what the reason means, in one line.
///
/// # Examples
///
/// ```
/// filter_common::reasons! {
///     /// The reason why a packet was passed.
///     #[derive(Clone, Copy, Debug, PartialEq)]
///     pub enum Passed {
///         /// Not UDP.
///         NotUdp => "not_udp",
///     }
/// }
///
/// assert_eq!(Passed::ALL, [Passed::NotUdp]);
/// assert_eq!((Passed::NotUdp.name(), Passed::NotUdp.meaning()), ("not_udp", "Not UDP."));
/// ```
#[macro_export]
macro_rules! reasons {
    (
        $(#[$attribute:meta])+
        $visibility:vis enum $enum:ident {
            $($(#[doc = $meaning:literal])+ $variant:ident => $name:literal,)+
        }
    ) => {
        $(#[$attribute])+
        $visibility enum $enum {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl $enum {
            /// All reasons, in the order of their numbers: `ALL[reason as usize] == reason`.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name of the reason in the control protocol, in `sip-filter stats` and in metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Returns what the reason means, in one line.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($meaning),+).trim_ascii(),)+
                }
            }
        }
    };
}
