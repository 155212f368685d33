//! The names of users.

use nix::unistd::{Uid, User};

/// Returns the name of a user, or `uid N` if it has none. Blocks, possibly on a directory server (NSS).
pub fn name(uid: Uid) -> String {
    let user = User::from_uid(uid).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}
