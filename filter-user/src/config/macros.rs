//! The macro by which an option of `run` is defined in one place.

/// Defines options, each with its help, its flag, its type and its default.
///
/// The first struct is a part of the second, which the command line and the configuration file are parsed into. The
/// third has the values: the flag, else the file, else the default. An option without a default is an `Option` there.
macro_rules! options {
    (
        $(#[doc = $part_doc:literal])+
        $part:ident {
            $($(#[doc = $p_doc:literal])+ #[arg($($p_arg:tt)+)] $p_name:ident: $p_type:ty $(= $p_default:expr)?;)+
        }
        $(#[doc = $options_doc:literal])+
        $options:ident {
            $($(#[doc = $o_doc:literal])+ #[arg($($o_arg:tt)+)] $o_name:ident: $o_type:ty $(= $o_default:expr)?;)+
        }
        $(#[doc = $settings_doc:literal])+
        $settings:ident;
    ) => {
        $(#[doc = $part_doc])+
        #[derive(Clone, Debug, Default, ::clap::Args)]
        pub struct $part {
            $($(#[doc = $p_doc])+ #[arg($($p_arg)+)] pub $p_name: Option<$p_type>,)+
        }

        $(#[doc = $options_doc])+
        #[derive(Clone, Debug, Default, ::clap::Args, ::serde::Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $options {
            $($(#[doc = $p_doc])+ #[arg($($p_arg)+)] pub $p_name: Option<$p_type>,)+
            $($(#[doc = $o_doc])+ #[arg($($o_arg)+)] pub $o_name: Option<$o_type>,)+
        }

        $(#[doc = $settings_doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $settings {
            $($(#[doc = $p_doc])+ pub $p_name: setting_type!($p_type $(, $p_default)?),)+
            $($(#[doc = $o_doc])+ pub $o_name: setting_type!($o_type $(, $o_default)?),)+
        }

        impl From<$part> for $options {
            fn from(part: $part) -> Self {
                Self { $($p_name: part.$p_name,)+ ..Self::default() }
            }
        }

        impl $options {
            /// Returns the values of these options, else those of `file`, else the defaults, without checking them
            /// against each other.
            pub(super) fn values(&self, file: &Self) -> $settings {
                $settings {
                    $($p_name: setting!(&self.$p_name, &file.$p_name $(, $p_default)?),)+
                    $($o_name: setting!(&self.$o_name, &file.$o_name $(, $o_default)?),)+
                }
            }
        }
    };
}

/// The type of a value: with a default, there always is one.
macro_rules! setting_type {
    ($type:ty) => { Option<$type> };
    ($type:ty, $default:expr) => { $type };
}

/// The value of an option: the first that is given, else the default.
macro_rules! setting {
    ($above:expr, $below:expr) => {
        $above.clone().or_else(|| $below.clone())
    };
    ($above:expr, $below:expr, $default:expr) => {
        setting!($above, $below).unwrap_or_else(|| $default)
    };
}
