//! Which bundle on which USB stick.

use serde::{Deserialize, Serialize};
use settings_file::Value;

/// How a bundle's name ends; FAT sticks may have it in capitals.
const ENDING: &str = ".raucb";

text_type! {
    /// The name of a bundle's file in a stick's top folder: never a way to another folder, and never hidden (macOS leaves such
    /// companions of each file).
    BundleName,
    "the name of a file that ends in .raucb, without a folder",
    |text| {
        let stem = text.len().checked_sub(ENDING.len());
        let ending = stem.and_then(|stem| text.get(stem..)).unwrap_or_default();
        text.len() <= 255 && !text.starts_with('.') && ending.eq_ignore_ascii_case(ENDING) && is_one_line(text) && !text.contains('/')
    }
}

text_type! {
    /// What tells a file system on a stick from every other: the stick's serial number, a slash, and the file system's own number.
    StickId,
    "a stick's serial number, a slash and its file system's number",
    |text| text.len() <= 300 && is_one_line(text) && text.contains('/')
}

fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_no_other_folder() {
        for (name, is_good) in [
            ("perch-1.2.0.raucb", true),
            ("perch 1.2.0 (1).raucb", true),
            ("PERCH.RAUCB", true),
            ("鲈鱼.raucb", true),
            ("../perch.raucb", false),
            ("a/perch.raucb", false),
            ("/perch.raucb", false),
            ("._perch.raucb", false),
            (".raucb", false),
            ("perch.raucb\n", false),
            ("a\nperch.raucb", false),
            ("perch.raucb.txt", false),
            ("鱼", false),
            ("", false),
        ] {
            assert_eq!(BundleName::new(name).is_ok(), is_good, "{name:?}");
        }
        assert!(BundleName::new(&format!("{}.raucb", "a".repeat(250))).is_err());
    }

    #[test]
    fn a_stick_is_named_by_one_line_of_two_parts() {
        assert!(StickId::new("4C530001/1234-ABCD").is_ok());
        for text in ["", "4C530001", "4C53\n0001/1234", &"a/".repeat(200)] {
            assert!(StickId::new(text).is_err(), "{text:?}");
        }
    }
}
