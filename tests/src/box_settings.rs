//! The `perch.toml` that the tests put on a card.

use crate::vm::SshKey;

/// Anna's password: she is the administrator whom `perch.toml` names.
pub const ANNA: &str = "anna's first password";
/// Ben's password: his account is made by hand.
pub const BEN: &str = "ben's password";

/// Anna as the administrator, and SSH with the test's key, as an owner would write it.
#[must_use]
pub fn perch_toml(key: &SshKey) -> String {
    format!(
        "[admin]\nname = \"anna\"\npassword = \"{ANNA}\"\n\n[ssh]\nenabled = true\nauthorized_keys = [\"{}\"]\n",
        key.public
    )
}

/// SSH with the test's key and nothing else: a box that nobody has claimed.
#[must_use]
pub fn ssh_toml(key: &SshKey) -> String {
    format!(
        "[ssh]\nenabled = true\nauthorized_keys = [\"{}\"]\n",
        key.public
    )
}
