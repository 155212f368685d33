//! Numbers with a range: the form of numbers in policy rows, options and requests.

use std::str::FromStr;

/// Parses a plain decimal number.
///
/// Returns `None` for anything but digits, since a sign or a space in such a value is a mistake, and for a number that
/// `T` cannot hold.
pub fn parse_decimal<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Defines a number with a range, and the error of a value outside it.
///
/// The message of the error can name the fields `least`, `most` and `value`. Text is parsed by
/// [`parse_decimal`](crate::parse_decimal). The crate that calls this macro needs `serde` and `thiserror`.
///
/// # Examples
///
/// ```
/// filter_reply::number! {
///     /// A number of fingers.
///     Fingers(u8) in 1..=10, default 5, get;
///     InvalidFingers: "{value} is not a number of fingers from {least} to {most}"
/// }
///
/// assert_eq!("7".parse().map(Fingers::get), Ok(7));
/// let error = Fingers::try_from(11).unwrap_err();
/// assert_eq!(error.to_string(), "11 is not a number of fingers from 1 to 10");
/// ```
#[macro_export]
macro_rules! number {
    (
        $(#[doc = $doc:literal])+
        $name:ident($type:ty) in $range:expr, default $default:expr, $get:ident;
        $invalid:ident: $message:literal
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name($type);

        #[doc = concat!("The error of a value that is not a [`", stringify!($name), "`].")]
        #[derive(Clone, Debug, PartialEq, Eq, ::thiserror::Error)]
        #[error($message)]
        pub struct $invalid {
            /// Minimum.
            pub least: $type,
            /// Maximum.
            pub most: $type,
            /// The value.
            pub value: ::std::string::String,
        }

        impl $name {
            /// Valid values.
            pub const RANGE: ::std::ops::RangeInclusive<$type> = $range;

            /// Returns the number.
            pub const fn $get(self) -> $type {
                self.0
            }
        }

        impl $invalid {
            fn new(value: impl ::std::string::ToString) -> Self {
                let range = $name::RANGE;
                Self { least: *range.start(), most: *range.end(), value: value.to_string() }
            }
        }

        impl ::std::default::Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl ::std::convert::TryFrom<$type> for $name {
            type Error = $invalid;

            fn try_from(value: $type) -> ::std::result::Result<Self, $invalid> {
                if Self::RANGE.contains(&value) { Ok(Self(value)) } else { Err($invalid::new(value)) }
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $invalid;

            fn from_str(text: &str) -> ::std::result::Result<Self, $invalid> {
                $crate::parse_decimal::<$type>(text).ok_or_else(|| $invalid::new(text))?.try_into()
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                let value: $type = ::serde::Deserialize::deserialize(deserializer)?;
                value.try_into().map_err(::serde::de::Error::custom)
            }
        }
    };
}
