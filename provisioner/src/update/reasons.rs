//! RAUC's errors in an owner's words, each with what to do about it.

const UPDATE_THE_PUBLISHER: &str =
    "look for a newer release of the publisher's, or ask the publisher to sign this one anew";
const RIGHT_FILE: &str = "take a release from this box's own publisher, and send it again";
/// For what has not arrived as it was made.
pub(super) const WHOLE: &str = "download it again, and send or install it once more";
const LATER: &str = "look whether the box reaches the internet, and try again later";

/// What RAUC says, what that means, and what to do. The first that fits counts.
const TABLE: [(&str, &str, &str); 17] = [
    (
        "certificate has expired",
        "the bundle was signed with a key that has expired",
        UPDATE_THE_PUBLISHER,
    ),
    (
        "certificate is not yet valid",
        "the bundle was signed with a key that is not valid yet",
        "look whether the box's clock is right, and connect it to a network with a time server",
    ),
    (
        "certificate revoked",
        "the bundle was signed with a key that has been taken back",
        UPDATE_THE_PUBLISHER,
    ),
    (
        "signature verification failed",
        "the bundle is not signed by whom this box trusts, or was changed",
        RIGHT_FILE,
    ),
    (
        "Verify error",
        "the bundle is not signed by whom this box trusts",
        RIGHT_FILE,
    ),
    (
        "Compatible mismatch",
        "the bundle is for another kind of box",
        "take the release for this board, whose name is in the file's",
    ),
    (
        "lower than the minimum",
        "the bundle is older than what runs",
        "take a newer one, or `provisioner update install FILE --downgrade` to install it all the same",
    ),
    (
        "No space left",
        "the disk is full",
        "delete old messages or uploads (`imd retention`), or use a larger card",
    ),
    // RAUC before 1.15.1 on Linux from 6.19 on: a Pi 5 with Debian's kernel.
    (
        "Unexpected dm-verity status",
        "the RAUC of this box does not understand its kernel, so it cannot install updates",
        "make a backup, write the newer image to the box's card, and restore the backup",
    ),
    // dm-verity's word for a block that is not what was signed.
    (
        "reading from file: Input/output error",
        "the bundle was changed or damaged on its way",
        WHOLE,
    ),
    // What stands at its end is none of RAUC's signatures.
    ("Signature size", "the bundle is not complete", WHOLE),
    ("unexpected end", "the bundle is not complete", WHOLE),
    ("truncated", "the bundle is not complete", WHOLE),
    (
        "Invalid bundle",
        "the bundle is not complete, or is none",
        WHOLE,
    ),
    (
        "Input/output error",
        "the bundle could not be read to its end, or was changed",
        WHOLE,
    ),
    ("Timeout", "the server did not answer in time", LATER),
    ("timed out", "the server did not answer in time", LATER),
];

/// What RAUC's words mean, and what to do. `None`: nobody has thought of them.
pub(super) fn reason(text: &str) -> Option<(&'static str, &'static str)> {
    let found = TABLE.iter().find(|(part, ..)| text.contains(part))?;
    Some((found.1, found.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_meaning_and_a_remedy() {
        let cases = [
            (
                "signature verification failed: Verify error: certificate has expired",
                "expired",
                "newer release",
            ),
            (
                "Verify error: certificate is not yet valid",
                "not valid yet",
                "clock",
            ),
            (
                "Verify error: certificate revoked",
                "taken back",
                "newer release",
            ),
            (
                "signature verification failed: bad digest",
                "or was changed",
                "own publisher",
            ),
            (
                "Verify error: self-signed certificate",
                "whom this box trusts",
                "own publisher",
            ),
            (
                "Compatible mismatch: Expected 'a' but bundle manifest has 'b'",
                "another kind of box",
                "this board",
            ),
            (
                "bundle version 1 is lower than the minimum 2",
                "older than what runs",
                "--downgrade",
            ),
            ("write: No space left on device", "full", "larger card"),
            (
                "Unexpected dm-verity status 'V -'",
                "does not understand",
                "newer image",
            ),
            (
                "Error reading from file: Input/output error",
                "damaged on its way",
                "again",
            ),
            (
                "Signature size (7) exceeds bundle size",
                "not complete",
                "again",
            ),
            ("unexpected end of file", "not complete", "again"),
            ("bundle is truncated", "not complete", "again"),
            ("Invalid bundle format", "or is none", "again"),
            ("pread: Input/output error", "to its end", "once more"),
            ("Timeout was reached", "in time", "internet"),
            ("Connection timed out", "in time", "internet"),
        ];
        for (said, meaning, remedy) in cases {
            let Some((plain, how)) = reason(said) else {
                panic!("{said}")
            };
            assert!(
                plain.contains(meaning) && how.contains(remedy),
                "{said}: {plain}: {how}"
            );
        }
        for (part, plain, remedy) in TABLE {
            assert!(
                cases.iter().any(|(said, ..)| said.contains(part)),
                "{part} has no case"
            );
            assert!(!plain.is_empty() && remedy.contains(' '), "{part}");
        }
        assert_eq!(reason("something new"), None);
    }
}
