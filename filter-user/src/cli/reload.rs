//! `sip-filter reload`.

use filter_user::config::Settings;
use filter_user::control::Client;
use filter_user::protocol::{NoParams, method};

use super::error::{Error, Outcome};
use super::in_force;
use super::output::{Output, pairs};

pub(super) fn reload(settings: &Settings, output: Output) -> Result<Outcome, Error> {
    let received = Client::connect(&settings.socket)?.call::<method::Reload>(&NoParams {})?;
    output.print(&received.json, || pairs(&in_force::lines(&received.reply)))?;
    Ok(Outcome::Done)
}
